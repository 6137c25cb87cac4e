//! Measures one decision in each engine, interleaved in one process. It compares the outcomes first, then measures time
//! and allocations.

use std::hint::black_box;
use std::pin::pin;
use std::task;
use std::time::Instant;

use arc_swap::ArcSwap;
use rototo::{LoadOptions, ReaderOptions};
use rototo_engine::{Compiled, Context, Facts, compile, parse};
use serde_json::Value;
use stats_alloc::Region;
use tokio::runtime::Runtime;

use crate::attributes::Request;
use crate::baseline::Baseline;
use crate::peers::{Cel, Datalogic, Yggdrasil};
use crate::{ALLOCATOR, load, shapes};

/// The number of rounds. With many short rounds an interruption of one does not change the median.
const ROUNDS: usize = 401;
const ROUND_NS: f64 = 40_000.0;

struct Contender<'a> {
    name: &'static str,
    decide: Box<dyn Fn() + 'a>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, decide: impl Fn() + 'a) -> Self {
        Self { name, decide: Box::new(decide) }
    }
}

/// Every engine with the same workspace.
struct Engines {
    baseline: Baseline,
    ours: ArcSwap<Compiled>,
    client: rototo::Workspace,
    alpha: reference::Workspace,
    yggdrasil: Yggdrasil,
    datalogic: Datalogic,
    cel: Cel,
}

impl Engines {
    fn load(variables: usize, runtime: &Runtime) -> Self {
        let files = shapes::workspace(variables);
        let directory = tempfile::tempdir().unwrap();
        load::write(&files, directory.path());
        let source = directory.path().to_str().unwrap();
        let tree = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let facts = shapes::context();
        // The large workspace has more files than a source may have by default.
        let mut reader = ReaderOptions::default();
        reader.limits.entries = 100_000;
        Self {
            baseline: Baseline::new(variables),
            ours: ArcSwap::from_pointee(compile(&parse(tree)).unwrap()),
            client: runtime
                .block_on(rototo::Workspace::load_with_options(source, LoadOptions::new().with_reader(reader)))
                .unwrap(),
            alpha: runtime.block_on(reference::Workspace::load(source)).unwrap(),
            yggdrasil: Yggdrasil::new(variables, &facts),
            datalogic: Datalogic::new(variables, &facts),
            cel: Cel::new(variables, &facts),
        }
    }
}

pub fn run() {
    println!(
        "{:<9} {:<9} {:<34} {:>10} {:>10} {:>9} {:>9} {:>12}",
        "decision", "variables", "engine", "median ns", "best ns", "x floor", "x ours", "allocations"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for variables in [100, 10_000] {
        let engines = Engines::load(variables, &runtime);
        for (decision, number, outcome) in [("worst15", 42, 5), ("first3", 43, 0)] {
            let id = format!("v{number:05}");
            engines.datalogic.with(|datalogic| {
                assert_eq!(datalogic(&id), outcome);
                compare(&engines, datalogic, decision, variables, &id, &outcome.into());
            });
        }
        compare_objects(&engines, variables);
    }
}

/// Compares the ways to a value of seven leaves, an object of a resource, after the decision of *worst15*.
fn compare_objects(Engines { ours, client, alpha, .. }: &Engines, variables: usize) {
    let id = "v00044";
    let context = Context::from_json(shapes::context()).unwrap();
    let their_context = reference::ResolveContext::from_json(shapes::context()).unwrap();
    let by_client = || now(client.resolve_variable(black_box(id), &context)).unwrap();
    let by_alpha = || now(alpha.resolve_variable(black_box(id), &their_context)).unwrap();
    assert_eq!(*by_client().value, value(ours, id, &context));
    assert_eq!(by_alpha().value, value(ours, id, &context));
    let contenders = [
        Contender::new("ours, borrowed", || once(ours, id, &context)),
        Contender::new("ours, client.resolve_variable", || drop(black_box(by_client()))),
        Contender::new("alpha.4, client.resolve_variable", || drop(black_box(by_alpha()))),
    ];
    report("object", variables, &contenders);
}

fn compare(
    engines: &Engines,
    datalogic: &dyn Fn(&str) -> i64,
    decision: &str,
    variables: usize,
    id: &str,
    outcome: &Value,
) {
    let json = shapes::context();
    let context = Context::from_json(json.clone()).unwrap();
    let their_context = reference::ResolveContext::from_json(json.clone()).unwrap();
    let prepared = engines.ours.load().prepare(context.clone());
    let own = Request::new();
    let Engines { baseline, ours, client, alpha, yggdrasil, cel, .. } = engines;

    let by_client = || now(client.resolve_variable(black_box(id), &context)).unwrap();
    let by_alpha = || now(alpha.resolve_variable(black_box(id), &their_context)).unwrap();
    assert_eq!(baseline.resolve(id, &json, Clone::clone), *outcome);
    assert_eq!(value(ours, id, &context), *outcome);
    assert_eq!(value(ours, id, &prepared), *outcome);
    assert_eq!(value(ours, id, &own), *outcome);
    assert_eq!(*by_client().value, *outcome);
    assert_eq!(by_alpha().value, *outcome);
    assert_eq!(yggdrasil.decide(id), *outcome);
    assert_eq!(Value::from(cel.decide(id)), *outcome);

    let contenders = [
        Contender::new("floor", || {
            baseline.resolve(black_box(id), &json, |value| {
                black_box(value);
            });
        }),
        Contender::new("ours", || once(ours, id, &context)),
        Contender::new("ours, prepared context", || once(ours, id, &prepared)),
        Contender::new("ours, facts of an own type", || once(ours, id, &own)),
        Contender::new("ours, client.resolve_variable", || drop(black_box(by_client()))),
        Contender::new("alpha.4, client.resolve_variable", || drop(black_box(by_alpha()))),
        Contender::new("unleash-yggdrasil 0.21", || yggdrasil.resolve(black_box(id))),
        Contender::new("datalogic-rs 5.4", || _ = black_box(datalogic(black_box(id)))),
        Contender::new("cel 0.15", || _ = black_box(cel.decide(black_box(id)))),
    ];
    report(decision, variables, &contenders);
}

/// Returns the output of a future that never waits, without a runtime.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
        task::Poll::Ready(output) => output,
        task::Poll::Pending => panic!("the future should never wait"),
    }
}

fn value<F: Facts>(current: &ArcSwap<Compiled>, id: &str, facts: &F) -> Value {
    current.load().resolve_variable(id, facts).unwrap().value.clone()
}

fn once<F: Facts>(current: &ArcSwap<Compiled>, id: &str, facts: &F) {
    black_box(current.load().resolve_variable(black_box(id), facts).unwrap().value);
}

fn report(decision: &str, variables: usize, contenders: &[Contender<'_>]) {
    let times = measure(contenders);
    let (baseline, ours) = (&times[0], &times[1]);
    for (contender, times) in contenders.iter().zip(&times) {
        let region = Region::new(ALLOCATOR);
        (contender.decide)();
        let allocations = region.change().allocations;
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{decision:<9} {variables:<9} {:<34} {:>10.1} {best:>10.1} {:>9.2} {:>9.2} {allocations:>12}",
            contender.name,
            median(times.iter().copied()),
            median(times.iter().zip(baseline).map(|(time, baseline)| time / baseline)),
            median(times.iter().zip(ours).map(|(time, ours)| time / ours)),
        );
    }
}

/// Returns the nanoseconds of one decision in each round, for each contender.
fn measure(contenders: &[Contender<'_>]) -> Vec<Vec<f64>> {
    let iterations: Vec<u32> = contenders.iter().map(iterations).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for _ in 0..ROUNDS {
        for ((contender, iterations), times) in contenders.iter().zip(&iterations).zip(&mut times) {
            times.push(time(contender, *iterations));
        }
    }
    times
}

/// Returns the number of decisions in one round.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn iterations(contender: &Contender<'_>) -> u32 {
    let one = median((0..21).map(|_| time(contender, 20)));
    (ROUND_NS / one).clamp(5.0, 2_000.0) as u32
}

fn time(contender: &Contender<'_>, iterations: u32) -> f64 {
    let started = Instant::now();
    for _ in 0..iterations {
        (contender.decide)();
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(iterations)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
