//! Changes a fleet for a long time with occasional faults, and checks whether the memory, open files, or threads of the
//! operator or of any process grow.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use fastrand::Rng;
use rototo_tests::harness::witness::Witness;
use rototo_tests::harness::{ControlPlane, Observation, until_async};

use crate::acts::ActResult;
use crate::environment::ChaosEnvironment;
use crate::history::disagreement;
use crate::script::{Act, NetworkFault, Which};

const PROCESSES: usize = 12;
/// The interval between two printed lines.
const LINE: Duration = Duration::from_secs(30);
/// The time within which a change runs everywhere, whatever happened before it.
const ARRIVES: Duration = Duration::from_secs(60);
/// The growth from the first third to the last, in percent, that still counts as flat.
const FLAT: u64 = 10;

/// The kernel's figures of a program.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    kilobytes: u64,
    files: u64,
    threads: u64,
}

/// The figures of each program, in order of time.
type Series = BTreeMap<String, Vec<Figures>>;

/// Changes a fleet for this time. Returns whether every change arrived and nothing grew.
pub(crate) async fn soak(length: Duration, seed: u64) -> anyhow::Result<bool> {
    let mut rng = Rng::with_seed(seed);
    let mut plane = ControlPlane::start()?;
    plane.install_crds()?;
    let mut environment = ChaosEnvironment::set(&plane, 1, PROCESSES).await?;
    let (started, mut series) = (Instant::now(), Series::new());
    let (mut pushes, mut faults, mut late, mut line) = (0, 0, 0, Instant::now());
    println!("a fleet of {PROCESSES} for {} minutes, seed {seed}", length.as_secs() / 60);
    while started.elapsed() < length {
        if rng.u8(0..8) == 0 {
            faults += usize::from(disturb(&mut environment, &mut plane, &mut rng).await?);
        }
        environment.push(rng.u8(0..4)).await?;
        pushes += 1;
        if let Err(error) = arrived(&environment).await {
            late += 1;
            println!("{:>6} s  {error:#}", started.elapsed().as_secs());
        }
        // The seed determines the pause between two changes, up to a few seconds.
        tokio::time::sleep(Duration::from_millis(rng.u64(500..4000))).await;
        if line.elapsed() >= LINE {
            line = Instant::now();
            measure(&environment, &mut series)?;
            environment.witnesses.iter().for_each(Witness::forget_all_but_the_last);
            println!(
                "{:>6} s  {pushes} pushes, {faults} faults, {late} late; {}",
                started.elapsed().as_secs(),
                newest(&series)
            );
        }
    }
    let flat = print_series(&series);
    println!("{pushes} pushes, {faults} faults, {late} late; {}", if flat { "flat" } else { "growing" });
    Ok(flat && late == 0)
}

async fn arrived(environment: &ChaosEnvironment) -> anyhow::Result<()> {
    let arrives = until_async("a change to run everywhere", ARRIVES, async || {
        Ok(match disagreement(environment).await {
            Ok(None) => Observation::Done(()),
            Ok(Some(disagreement)) => Observation::NotYet(disagreement),
            Err(error) => Observation::NotYet(format!("{error:#}")),
        })
    });
    arrives.await
}

/// Causes a fault that leaves every program running: a restarted program would have the memory of a new one.
async fn disturb(environment: &mut ChaosEnvironment, plane: &mut ControlPlane, rng: &mut Rng) -> anyhow::Result<bool> {
    let (one, millis) = (rng.usize(0..64), rng.u64(300..2000));
    let network_fault =
        [NetworkFault::Cut, NetworkFault::Frozen, NetworkFault::Stranded, NetworkFault::Slow(100)][rng.usize(0..4)];
    let act = match rng.u8(0..7) {
        0 => Act::OperatorNetworkFault(Which::Leader, network_fault, millis),
        1 => Act::ReportsNetworkFault(Which::Leader, network_fault, millis),
        2 => Act::ProcessNetworkFault(one, network_fault, millis),
        3 => Act::StopProcess(one, millis),
        4 => Act::StopOperator(Which::Leader, millis),
        5 => Act::HideRepository(millis),
        _ => Act::PushRefused,
    };
    let ActResult { took_effect, undo } = environment.act(act, plane).await?;
    if let Some((millis, undo)) = undo {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        environment.undo(undo).await?;
    }
    Ok(took_effect)
}

fn measure(environment: &ChaosEnvironment, series: &mut Series) -> anyhow::Result<()> {
    let operators = environment.fellows.iter().map(|fellow| ("operator".to_owned(), fellow.operator.process()));
    let services =
        environment.services.iter().map(|service| (service.app.pod().name().to_owned(), service.app.process()));
    for (name, process) in operators.chain(services) {
        series.entry(name).or_default().push(figures(process?.id())?);
    }
    Ok(())
}

fn figures(id: u32) -> anyhow::Result<Figures> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("read the status of a process")?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{id}/fd")).context("count the open files of a process")?.count();
    Ok(Figures {
        kilobytes: number("VmRSS:").context("no VmRSS")?,
        files: u64::try_from(files)?,
        threads: number("Threads:").context("no Threads")?,
    })
}

fn newest(series: &Series) -> String {
    let last = |figures: &[Figures]| figures.last().copied().unwrap_or_default();
    let of = |(name, figures): (&String, &Vec<Figures>)| {
        let Figures { kilobytes, files, threads } = last(figures);
        format!("{name} {:.1} MB {files} files {threads} threads", kilobytes as f64 / 1024.0)
    };
    series.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Prints the minimum, median, and maximum of the first and the last third for each program. Returns whether all are
/// flat.
fn print_series(series: &Series) -> bool {
    let mut flat = true;
    for (name, figures) in series {
        for (what, of) in KINDS {
            let all: Vec<u64> = figures.iter().map(of).collect();
            let third = (all.len() / 3).max(1);
            let first = spread(all.get(..third).unwrap_or(&all));
            let last = spread(all.get(all.len().saturating_sub(third)..).unwrap_or(&all));
            // One more open file for each process is no growth: it is a connection that was made again.
            let grows = last.1 * 100 > first.1 * (100 + FLAT) && last.1 > first.1 + PROCESSES as u64;
            flat &= !grows;
            println!(
                "{name:<10} {what:<8} first third {} / {} / {}, last third {} / {} / {}{}",
                first.0,
                first.1,
                first.2,
                last.0,
                last.1,
                last.2,
                if grows { "  GROWS" } else { "" },
            );
        }
    }
    flat
}

/// The name of a figure, and the function that reads it.
type Kind = (&'static str, fn(&Figures) -> u64);

const KINDS: [Kind; 3] =
    [("kB", |figures| figures.kilobytes), ("files", |figures| figures.files), ("threads", |figures| figures.threads)];

fn spread(figures: &[u64]) -> (u64, u64, u64) {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}
