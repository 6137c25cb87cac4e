//! One decision through each engine, interleaved in one process; outcomes first, then time and allocations.

use std::hint::black_box;
use std::time::Instant;

use arc_swap::ArcSwap;
use rototo_engine::{Compiled, Context, compile, parse};
use stats_alloc::Region;

use crate::floor::Floor;
use crate::{ALLOCATOR, shapes};

const ROUNDS: usize = 41;

struct Contender<'a> {
    name: &'static str,
    iterations: u32,
    decide: Box<dyn Fn() + 'a>,
}

pub fn run() {
    println!(
        "{:<10} {:<10} {:>8} {:>10} {:>10} {:>8} {:>12}",
        "decision", "variables", "engine", "median ns", "best ns", "x floor", "allocations"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for variables in [100, 10_000] {
        let files = shapes::workspace(variables);
        let tree = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let ours = ArcSwap::from_pointee(compile(&parse(tree)).unwrap());
        let floor = Floor::new(variables);
        let directory = tempfile::tempdir().unwrap();
        // The reference takes minutes to load the large one, and nothing in it depends on the number.
        let theirs = (variables == 100).then(|| {
            crate::load::write(&files, directory.path());
            runtime.block_on(reference::Workspace::load(directory.path().to_str().unwrap())).unwrap()
        });
        for (decision, number) in [("worst15", 42), ("first3", 43)] {
            let (id, json) = (format!("v{number:05}"), shapes::context());
            let context = Context::from_json(json.clone()).unwrap();
            let their_context = reference::ResolveContext::from_json(json.clone()).unwrap();
            let outcome = ours.load().resolve_variable(&id, &context).unwrap().value.clone();
            assert_eq!(outcome, if decision == "worst15" { 5 } else { 0 });
            assert_eq!(floor.resolve(&id, &json, Clone::clone), outcome);
            let mut contenders = vec![
                Contender {
                    name: "floor",
                    iterations: 20_000,
                    decide: Box::new(|| {
                        floor.resolve(&id, &json, |value| {
                            black_box(value);
                        })
                    }),
                },
                Contender { name: "ours", iterations: 20_000, decide: Box::new(|| ours_once(&ours, &id, &context)) },
            ];
            if let Some(theirs) = &theirs {
                let resolve = || runtime.block_on(theirs.resolve_variable(&id, &their_context)).unwrap();
                assert_eq!(resolve().value, outcome);
                contenders.push(Contender {
                    name: "alpha.4",
                    iterations: 500,
                    decide: Box::new(move || drop(black_box(resolve()))),
                });
            }
            report(decision, variables, &contenders);
        }
    }
}

fn ours_once(current: &ArcSwap<Compiled>, id: &str, context: &Context) {
    black_box(current.load().resolve_variable(black_box(id), context).unwrap().value);
}

fn report(decision: &str, variables: usize, contenders: &[Contender<'_>]) {
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..contender.iterations {
                (contender.decide)();
            }
            times.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(contender.iterations));
        }
    }
    let mut floor = None;
    for (contender, mut times) in contenders.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[ROUNDS / 2], times[0]);
        let floor = *floor.get_or_insert(median);
        let region = Region::new(ALLOCATOR);
        (contender.decide)();
        let allocations = region.change().allocations;
        println!(
            "{decision:<10} {variables:<10} {:>8} {median:>10.1} {best:>10.1} {:>8.2} {allocations:>12}",
            contender.name,
            median / floor
        );
    }
}
