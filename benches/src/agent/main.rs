//! `cargo xtask bench agent`: single evaluations over OFREP, by the agent, by another OFREP server with the same rules, and by
//! a bare HTTP server that answers the same bytes without evaluating.
//!
//! One client sends the same requests to each, over kept-alive HTTP/1.1 on loopback, in turns, so that what else the machine
//! does hits all of them. Processor time is that of the server alone, user and system.

mod exchange;
mod load;
mod servers;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Parser;
use rototo_benches::figures::Spread;

use exchange::{Request, once};
use load::{Load, Measured};
use servers::{Rules, Server};

/// Measure single evaluations over OFREP.
#[derive(Parser)]
#[command(name = "cargo xtask bench agent")]
struct AgentOptions {
    /// The number of connections, each of which has one request at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// The number of requests to each server in one turn.
    #[arg(long, default_value_t = 50_000)]
    requests: usize,
    /// The number of turns.
    #[arg(long, default_value_t = 4)]
    turns: usize,
    /// The number of variables.
    #[arg(long, default_value_t = 100)]
    variables: usize,
    /// The number of threads of the agent; its own default if none is given.
    #[arg(long)]
    threads: Option<usize>,
    /// The relay proxy of go-feature-flag; `cargo xtask bench` builds it.
    #[arg(long, env = "ROTOTO_PEER_GO_FEATURE_FLAG")]
    go_feature_flag: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = AgentOptions::parse();
    let rules = Rules::write(options.variables)?;
    let mut servers = vec![Server::agent(&rules, options.threads).await?];
    match &options.go_feature_flag {
        Some(program) => servers.push(Server::go_feature_flag(&rules, program).await?),
        None => println!("go-feature-flag could not be built: see above."),
    }
    servers.push(Server::echo().await?);
    let requests = rules.requests();
    let decided = answers(&servers, &requests).await?;
    println!("{decided} requests have the same value from every server that evaluates.\n");

    let mut measured: Vec<Vec<Measured>> = servers.iter().map(|_| Vec::new()).collect();
    for turn in 0..=options.turns {
        for (server, measured) in servers.iter().zip(&mut measured) {
            let load = Load { connections: options.connections, requests: options.requests };
            let result = load.run(server, &requests).await?;
            // The first turn only warms up.
            if turn > 0 {
                measured.push(result);
            }
        }
    }
    print(&servers, &measured);
    Ok(())
}

/// Compares the answers of the servers that evaluate, and returns the number of requests.
async fn answers(servers: &[Server], requests: &[Request]) -> anyhow::Result<usize> {
    for request in requests {
        let mut variants = Vec::new();
        for server in servers.iter().filter(|server| server.evaluates) {
            let answer = once(server.port, request).await?;
            variants.push((server.name, answer["value"].clone(), answer["variant"].clone()));
        }
        let same = variants.windows(2).all(|pair| pair[0].1 == pair[1].1 && pair[0].2 == pair[1].2);
        ensure!(same && !variants[0].1.is_null(), "{} differs: {variants:?}", request.path);
    }
    Ok(requests.len())
}

fn print(servers: &[Server], measured: &[Vec<Measured>]) {
    println!(
        "{:<28}{:>14}{:>16}{:>10}{:>10}{:>10}{:>9}",
        "", "evaluations/s", "per CPU-second", "p50 µs", "p99 µs", "max ms", "MB"
    );
    for (server, turns) in servers.iter().zip(measured) {
        let total = |of: fn(&Measured) -> f64| turns.iter().map(of).sum::<f64>();
        let count = total(|turn| turn.latencies.len() as f64);
        let all = turns.iter().flat_map(|turn| turn.latencies.iter().copied()).collect();
        let Some(Spread { p50, p99, max, .. }) = Spread::of(all) else { continue };
        let memory = turns.last().map_or(0.0, |turn| turn.memory);
        println!(
            "{:<28}{:>14.0}{:>16.0}{:>10.0}{:>10.0}{:>10.1}{:>9.1}",
            server.name,
            count / total(|turn| turn.seconds),
            count / total(|turn| turn.processor),
            p50 * 1000.0,
            p99 * 1000.0,
            max,
            memory
        );
    }
}
