//! Starts the agent, and ends it.

pub(crate) mod error;
pub(crate) mod log;
pub(crate) mod options;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rototo::{LoadOptions, RefreshingWorkspace};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::connections::address::Address;
use crate::connections::{Bound, ConnectionLimits, Listeners};
use crate::http::{Agent, AgentService, ProbesService, RequestLimits};
use crate::metrics::Metrics;
use crate::run::error::StartError;
use crate::run::options::Options;
use crate::serving::Serving;

/// The time for which requests that are worked on may go on when the agent ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs the agent until `shutdown`, and then answers the requests that have begun.
///
/// # Errors
///
/// When the options can't be used. A source that can't be read yet is no error: the agent waits for it, not ready.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), StartError> {
    options.check()?;
    let mut bound = Vec::new();
    for address in &options.listen {
        bound.push(bind(address, options.socket_mode)?);
    }
    let probes = match options.probes_listen {
        Some(address) => Some(bind(&Address::Tcp(address), options.socket_mode)?),
        None => None,
    };
    let workspace = RefreshingWorkspace::start(options.source()?, LoadOptions::from_env(), options.refresh())?;
    let serving = Arc::new(Serving::new(workspace, options.answers()));
    let metrics = Arc::new(Metrics::default());
    let limits = RequestLimits {
        body: options.body_bytes(),
        body_time: Duration::from_secs(options.slow_seconds.into()),
        streams: options.streams(),
    };
    let agent = Agent::new(
        serving.clone(),
        options.targeting_key_attribute.clone(),
        options.events_uri.clone(),
        metrics.clone(),
        &limits,
        shutdown.clone(),
    );
    let agent = Arc::new(agent);
    let evaluating =
        Listeners::new(ConnectionLimits::new(options.connections(), options.slow_seconds.into()), metrics.clone());
    let probing = Listeners::new(ConnectionLimits::of_probes(), Arc::default());
    for bound in &bound {
        info!("listening on {}", bound.address().map_err(StartError::Address)?);
    }

    let service = |activity| AgentService { agent: agent.clone(), activity };
    let evaluations = join_all(bound.into_iter().map(|bound| evaluating.serve(bound, service, &shutdown)));
    let probe_service = |activity| ProbesService { agent: agent.clone(), activity };
    let probe_listener = async {
        let Some(bound) = probes else { return };
        probing.serve(bound, probe_service, &shutdown).await;
    };
    let accepting = async { tokio::join!(evaluations, probe_listener) };
    let background =
        async { tokio::join!(serving.keep_current(), evaluating.keep_sweeping(), probing.keep_sweeping()) };
    let ended = async {
        accepting.await;
        info!("ends");
        evaluating.end(LAST_ANSWERS).await;
        probing.end(Duration::ZERO).await;
    };
    tokio::select! {
        () = ended => {}
        _ = background => warn!("a task of the agent has ended"),
    }
    // The operator need not wait for this process any more.
    serving.workspace().shutdown().await;
    Ok(())
}

fn bind(address: &Address, mode: u32) -> Result<Bound, StartError> {
    Bound::new(address, mode).map_err(|error| StartError::Listen(address.clone(), error))
}
