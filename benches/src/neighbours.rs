//! `cargo xtask bench neighbours`: measures how much later a change is published while other tenants of the same operator
//! have sources that are made to hold it up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use kube::api::{Patch, PatchParams};
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::RototoWorkspace;
use rototo_benches::environment::WORKSPACE;
use rototo_benches::figures::{Spread, Table, processor_millis, resident_megabytes};
use rototo_benches::peaks::{Peak, Peaks};
use rototo_tests::harness::{Cluster, ControlPlane, GitRepo, Namespace, Operator};
use serde_json::json;

const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
/// The shortest poll interval that the CRD admits.
const INTERVAL: &str = "5s";
/// The longest wait for one change.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measure the publishes of tenants beside hostile neighbours.
#[derive(Parser)]
#[command(name = "cargo xtask bench neighbours")]
struct NeighboursOptions {
    /// The number of tenants that are measured, each in a namespace of its own.
    #[arg(long, default_value_t = 15)]
    tenants: usize,
    /// The number of changes of each tenant.
    #[arg(long, default_value_t = 5)]
    changes: usize,
    /// The size of the large repository, in MiB.
    #[arg(long, default_value_t = 256)]
    large: usize,
    /// The size of the blobs beside the workspace in two repositories, in MiB. One host leaves them out when it is asked
    /// to, and the other does not.
    #[arg(long, default_value_t = 2048)]
    beside: usize,
    /// The number of workspaces of nearly the largest size in one namespace.
    #[arg(long, default_value_t = 24)]
    heavy: usize,
    /// The number of files of the repository with many files.
    #[arg(long, default_value_t = 200_000)]
    files: usize,
    /// The number of refs of the repository with many refs.
    #[arg(long, default_value_t = 10_000)]
    refs: usize,
    /// The number of seconds for which the hostile neighbours run before the measurement.
    #[arg(long, default_value_t = 20)]
    settle: u64,
}

/// A tenant whose changes are measured.
struct Tenant {
    namespace: Namespace,
    repository: GitRepo,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = NeighboursOptions::parse();
    let plane = ControlPlane::start()?;
    plane.install_crds()?;
    let home = Namespace::create(&plane, "operator").await?;
    let mut tenants = Vec::new();
    for number in 0..options.tenants {
        tenants.push(Tenant::create(&plane, &format!("tenant-{number}")).await?);
    }
    let folder = tempfile::tempdir().context("make a folder for hostile sources")?;
    let hostile = Hostile::prepare(&plane, folder.path(), &options).await?;
    let served = tenants.iter().map(|tenant| tenant.namespace.name()).chain(hostile.names()).collect::<Vec<_>>();
    let operator = Operator::start_for(&home, &served)?;
    for tenant in &tenants {
        tenant.follow().await?;
    }

    let id = operator.process()?.id();
    let mut table = Table::new("neighbours", &["p50", "p99", "max", "CPU s", "RSS MB"]);
    let alone = measure(&tenants, options.changes, 0, id, &mut table, "none").await?;
    let peaks = Peaks::watch(id, operator.directory().join("data"));
    hostile.begin().await?;
    tokio::time::sleep(Duration::from_secs(options.settle)).await;
    let beside = measure(&tenants, options.changes, options.changes, id, &mut table, "hostile").await?;
    println!(
        "\n{} tenants, from the request for a poll to the marker, ms; beside {} hostile neighbours: p50 × {:.2}, p99 × {:.2}",
        options.tenants,
        hostile.neighbours.len(),
        beside.p50 / alone.p50,
        beside.p99 / alone.p99
    );
    let Peak { disk, own_memory, memory } = peaks.end();
    println!("peaks, MB: disk {disk:.0}, memory {own_memory:.0}, and with the programs that it starts {memory:.0}");
    hostile.report().await
}

async fn measure(
    tenants: &[Tenant],
    changes: usize,
    from: usize,
    operator: u32,
    table: &mut Table,
    name: &str,
) -> anyhow::Result<Spread> {
    let mut times = Vec::new();
    let before = processor_millis(&[operator]);
    for number in from..from + changes {
        for tenant in tenants {
            times.push(tenant.change(number).await?);
        }
    }
    let spread = Spread::of(times).context("nothing was measured")?;
    let spent = (processor_millis(&[operator]) - before) / 1000.0;
    let row = spread.cells().into_iter().chain([spent, resident_megabytes(operator)?]).collect();
    table.row(name, row);
    Ok(spread)
}

impl Tenant {
    async fn create(plane: &Cluster, purpose: &str) -> anyhow::Result<Self> {
        let namespace = Namespace::create(plane, purpose).await?;
        let example = xtask::cargo::root().join("examples/degradation-config");
        Ok(Self { namespace, repository: GitRepo::with_workspace(&example, "workspaces/prod")? })
    }

    async fn follow(&self) -> anyhow::Result<()> {
        let spec = json!({ "source": self.repository.url(), "interval": "1h" });
        self.namespace.apply_workspace(WORKSPACE, spec).await?;
        self.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.map(drop)
    }

    /// Pushes a change and requests a poll. Returns the milliseconds from the request to the marker.
    async fn change(&self, number: usize) -> anyhow::Result<f64> {
        let (from, to) = (format!("[0, {}]", 1000 + number), format!("[0, {}]", 1001 + number));
        self.repository.edit(TRIAL, &from, &to)?;
        self.repository.push()?;
        let before = self.namespace.marker(WORKSPACE).await?;
        let began = Instant::now();
        request(&self.namespace).await?;
        while self.namespace.marker(WORKSPACE).await? == before {
            ensure!(began.elapsed() < PATIENCE, "a change was not published within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

async fn request(namespace: &Namespace) -> anyhow::Result<()> {
    let patch =
        json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: format!("{:016x}", fastrand::u64(..)) } } });
    let workspaces = namespace.api::<RototoWorkspace>();
    workspaces.patch(WORKSPACE, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// The neighbours, each with a source that is made to hold the operator up.
struct Hostile {
    neighbours: Vec<(&'static str, Namespace, String)>,
    /// The sources of the workspaces of the last neighbour.
    heavy: Vec<String>,
    moving: PathBuf,
    ended: Arc<AtomicBool>,
}

impl Hostile {
    async fn prepare(plane: &Cluster, folder: &Path, options: &NeighboursOptions) -> anyhow::Result<Self> {
        let repository = |name: &str| -> anyhow::Result<PathBuf> {
            let path = folder.join(name);
            git(folder, &["init", "--quiet", "--bare", "--initial-branch=main", name])?;
            Ok(path)
        };
        let url = |path: &Path| format!("git+file://{}#main", path.display());
        let large = repository("large.git")?;
        fast_import(&large, |out| large_file(out, options.large))?;
        let partial = repository("partial.git")?;
        fast_import(&partial, |out| beside(out, options.beside))?;
        git(&partial, &["config", "uploadpack.allowFilter", "true"])?;
        let whole = folder.join("whole.git");
        git(folder, &["clone", "--quiet", "--bare", "--local", "partial.git", "whole.git"])?;
        let files = repository("files.git")?;
        fast_import(&files, |out| many_files(out, options.files))?;
        let refs = repository("refs.git")?;
        fast_import(&refs, |out| many_refs(out, options.refs))?;
        let heavy = repository("heavy.git")?;
        fast_import(&heavy, |out| many_heavy(out, options.heavy))?;
        let moving = repository("moving.git")?;
        fast_import(&moving, |out| one_commit(out, 0))?;
        let mut neighbours = Vec::new();
        for (name, source) in [
            ("drips", drip()?),
            ("large", url(&large)),
            ("partial", url(&partial)),
            ("whole", url(&whole)),
            ("files", url(&files)),
            ("refs", url(&refs)),
            ("moving", url(&moving)),
            ("heavy", format!("{}:w0", url(&heavy))),
        ] {
            neighbours.push((name, Namespace::create(plane, name).await?, source));
        }
        let heavy = (1..options.heavy).map(|number| format!("{}:w{number}", url(&heavy))).collect();
        Ok(Self { neighbours, heavy, moving, ended: Arc::default() })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.neighbours.iter().map(|(_, namespace, _)| namespace.name())
    }

    /// Lets the operator follow the sources, and moves the ref of one of them every second.
    async fn begin(&self) -> anyhow::Result<()> {
        for (_, namespace, source) in &self.neighbours {
            namespace.apply_workspace(WORKSPACE, json!({ "source": source, "interval": INTERVAL })).await?;
        }
        let namespace = |wanted| {
            let found = self.neighbours.iter().find(|(name, ..)| *name == wanted);
            found.map(|(_, namespace, _)| namespace.clone()).context("a neighbour is missing")
        };
        for (number, source) in self.heavy.iter().enumerate() {
            let spec = json!({ "source": source, "interval": INTERVAL });
            namespace("heavy")?.apply_workspace(&format!("heavy-{number}"), spec).await?;
        }
        let namespace = namespace("moving")?;
        let (moving, ended) = (self.moving.clone(), self.ended.clone());
        tokio::spawn(async move {
            for number in 1.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let moved = fast_import(&moving, |out| one_commit(out, number)).and(request(&namespace).await);
                if let Err(error) = moved {
                    eprintln!("the moving ref stands still: {error:#}");
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Ok(())
    }

    /// Prints what the status of each neighbour says.
    async fn report(&self) -> anyhow::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        for (name, namespace, _) in &self.neighbours {
            let status = namespace.workspace(WORKSPACE).await?.status.unwrap_or_default();
            let ready = status.condition("Ready");
            let says = ready.map_or("nothing yet", |condition| condition.message.as_str());
            println!("{name:<8}{}", says.chars().take(140).collect::<String>());
        }
        Ok(())
    }
}

/// Starts a server that sends one byte a second to each of its callers, and returns its source.
fn drip() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let source = format!("git+https://{}/config.git#main", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drip_into(stream));
        }
    });
    Ok(source)
}

/// Sends the beginning of a TLS record that promises more than ever arrives.
fn drip_into(mut stream: TcpStream) {
    let mut hello = [0; 512];
    let _ = stream.read(&mut hello);
    for byte in [0x16, 0x03, 0x03, 0x40, 0x00].into_iter().chain(std::iter::repeat(0x02)) {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("git").args(arguments).current_dir(folder).status().context("run git")?;
    ensure!(status.success(), "git {arguments:?} failed");
    Ok(())
}

fn fast_import(repository: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    // Noise is stored as it is.
    command.args(["-c", "pack.compression=0", "-c", "core.bigFileThreshold=1m"]);
    command.args(["fast-import", "--quiet", "--force"]).current_dir(repository).stdin(Stdio::piped());
    let mut child = command.spawn().context("run git fast-import")?;
    let mut stdin = std::io::BufWriter::new(child.stdin.take().context("a pipe to git")?);
    write(&mut stdin).and_then(|()| stdin.flush()).context("write to git fast-import")?;
    drop(stdin);
    ensure!(child.wait()?.success(), "git fast-import failed");
    Ok(())
}

fn commit(out: &mut dyn Write, reference: &str) -> std::io::Result<()> {
    write!(out, "commit {reference}\ncommitter Bench <bench@example.com> 1795651200 +0000\ndata 1\nx\n")?;
    file(out, "rototo-workspace.toml", "schema_version = 1\n")
}

fn file(out: &mut dyn Write, path: &str, text: &str) -> std::io::Result<()> {
    write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())
}

fn one_commit(out: &mut dyn Write, number: usize) -> std::io::Result<()> {
    commit(out, "refs/heads/main")?;
    let text =
        format!("schema_version = 1\ntype = \"int\"\nvalues = {{ it = {number} }}\n[resolve]\ndefault = \"it\"\n");
    file(out, "variables/number.toml", &text)
}

fn large_file(out: &mut dyn Write, megabytes: usize) -> std::io::Result<()> {
    commit(out, "refs/heads/main")?;
    // Random bytes in hexadecimal digits, which compress to no less than half.
    write!(out, "M 100644 inline variables/large.toml\ndata {}\n", megabytes << 20)?;
    for _ in 0..megabytes << 16 {
        write!(out, "{:016x}", fastrand::u64(..))?;
    }
    writeln!(out)
}

/// A workspace, and files of random bytes elsewhere in the repository.
fn beside(out: &mut dyn Write, megabytes: usize) -> std::io::Result<()> {
    const EACH: usize = 64;
    one_commit(out, 0)?;
    let mut noise = vec![0; 1 << 20];
    for number in 0..megabytes.div_ceil(EACH) {
        write!(out, "M 100644 inline data/{number}.bin\ndata {}\n", EACH << 20)?;
        for _ in 0..EACH {
            fastrand::fill(&mut noise);
            out.write_all(&noise)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn many_files(out: &mut dyn Write, files: usize) -> std::io::Result<()> {
    commit(out, "refs/heads/main")?;
    (0..files).try_for_each(|number| file(out, &format!("variables/v{number}.toml"), "schema_version = 1\n"))
}

/// Workspaces of 7 MiB each, side by side.
fn many_heavy(out: &mut dyn Write, workspaces: usize) -> std::io::Result<()> {
    commit(out, "refs/heads/main")?;
    let values: String = (0..8_000).map(|value| format!("a{value} = {value}\n")).collect();
    let text = format!("schema_version = 1\ntype = \"int\"\n[resolve]\ndefault = \"a0\"\n[values]\n{values}");
    for workspace in 0..workspaces {
        file(out, &format!("w{workspace}/rototo-workspace.toml"), "schema_version = 1\n")?;
        for variable in 0..(7 << 20) / text.len() {
            // No two documents are the same, so that none shares the memory of another.
            let text = format!("{text}b = {}\n", workspace * 1000 + variable);
            file(out, &format!("w{workspace}/variables/v{variable}.toml"), &text)?;
        }
    }
    Ok(())
}

fn many_refs(out: &mut dyn Write, refs: usize) -> std::io::Result<()> {
    commit(out, "refs/heads/main")?;
    (0..refs).try_for_each(|number| write!(out, "reset refs/heads/topic/{number}\nfrom refs/heads/main\n\n"))
}
