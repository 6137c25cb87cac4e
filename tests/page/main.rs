//! The walk of `cargo xtask page`: the page in a real Chromium, served by a real operator over a real fleet, and by
//! `rototo ui`. It fails where the page does not show what is the case, and leaves pictures of it.

mod browser;
mod front;
mod scene;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Parser;
use rototo_tests::harness::Operator;
use serde_json::json;

use crate::browser::Browser;
use crate::front::{Front, FrontAnswer};
use crate::scene::{HOSTILE, POLICY, PageScene, TRIAL, WORKSPACE};

/// The page in a real browser.
#[derive(Parser)]
#[command(name = "cargo xtask page")]
struct PageOptions {
    /// The folder for the pictures.
    #[arg(long, default_value = "target/page")]
    pictures: PathBuf,
    /// Keep everything running after the walk, and print the addresses.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = PageOptions::parse();
    std::fs::create_dir_all(&options.pictures)?;
    let pictures = std::path::absolute(&options.pictures)?;
    let mut browser = Browser::start()?;
    session_over(&mut browser).await?;
    let mut scene = PageScene::set().await?;
    sign_in(&mut browser, &scene)?;
    converged(&mut browser, &scene, &pictures).await?;
    a_change_arrives(&mut browser, &scene).await?;
    asleep(&mut browser)?;
    keyboard(&mut browser)?;
    refused_and_behind(&mut browser, &scene, &pictures).await?;
    let commit = rolling_out(&mut browser, &scene, &pictures).await?;
    on_this_machine(&mut browser, &scene, &commit).await?;
    if options.keep {
        println!("{}/ui/#/{}/{WORKSPACE}", scene.url(), scene.namespace.name());
        println!("{}", scene.token()?);
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    disconnected(&mut browser, &mut scene, &pictures).await?;
    println!("The page shows what is the case. Pictures are in {}.", pictures.display());
    Ok(())
}

/// A proxy in front of the page no longer knows the person: that is neither an outage nor a wrong token.
async fn session_over(browser: &mut Browser) -> anyhow::Result<()> {
    let front = Front::start().await?;
    for answer in [FrontAnswer::Elsewhere, FrontAnswer::Here, FrontAnswer::Forbidden, FrontAnswer::Form] {
        front.answers(answer);
        browser.open("about:blank")?;
        browser.open(&front.url())?;
        browser.wait("the proxy in front asks you to sign in again").with_context(|| format!("{answer:?}"))?;
        let text = browser.text()?;
        ensure!(
            !text.contains("Disconnected") && !text.contains("Token"),
            "{answer:?} is taken for another fault:\n{text}"
        );
        front.answers(FrontAnswer::Document);
        browser.click(".notice button")?;
        browser.wait("There is no RototoWorkspace here.")?;
    }
    browser.open("about:blank")?;
    browser.noted()?;
    println!("a session of a proxy that is over leads to its sign-in");
    Ok(())
}

/// Without a token there is nothing to see. With one that may list one namespace, the others stay unseen.
fn sign_in(browser: &mut Browser, scene: &PageScene) -> anyhow::Result<()> {
    browser.open(&format!("{}/ui", scene.url()))?;
    browser.wait("Show a token")?;
    browser.fill("#token", &scene.token()?)?;
    browser.press(&["Enter"])?;
    browser.wait("may not list rototoworkspaces in all namespaces")?;
    browser.fill("#namespace", scene.namespace.name())?;
    browser.press(&["Enter"])?;
    browser.wait("Live")?;
    browser.wait(WORKSPACE)?;
    println!("a token opens the list of its namespace");
    Ok(())
}

async fn converged(browser: &mut Browser, scene: &PageScene, pictures: &Path) -> anyhow::Result<()> {
    let commit = scene.change(TRIAL, "[0, 1000]", "[0, 3000]", HOSTILE).await?;
    scene.converged().await?;
    browser.wait(&commit)?;
    browser.shots(pictures, "list")?;
    browser.open(&scene.page_of(WORKSPACE))?;
    browser.wait(&format!("Converged: 12 of 12 run {commit}"))?;
    let text = browser.text()?;
    for expected in [HOSTILE, "Live", "as of", "published", "all of them", "12 running it"] {
        ensure!(text.contains(expected), "the page lacks {expected}:\n{text}");
    }
    // The words of a commit are a text, and nothing on the page comes from elsewhere.
    let images = browser.evaluate("document.querySelectorAll('img, script:not([src])').length")?;
    ensure!(images == json!(0), "the page has {images} elements of a commit");
    ensure!(browser.evaluate("window.owned ?? null")?.is_null(), "the commit has run a script");
    let elsewhere: Vec<_> = browser.noted()?.into_iter().filter(|line| !line.contains(&scene.url())).collect();
    let elsewhere: Vec<_> = elsewhere.iter().filter(|line| !line.contains("403") && !line.contains("401")).collect();
    ensure!(elsewhere.is_empty(), "the browser has noted {elsewhere:?}");
    browser.shots(pictures, "converged")?;
    println!("a hostile subject is a text, and the answer comes first");
    Ok(())
}

/// A change appears without anybody's doing.
async fn a_change_arrives(browser: &mut Browser, scene: &PageScene) -> anyhow::Result<()> {
    browser.evaluate("window.unchanged = true")?;
    let commit = scene.change(TRIAL, "[0, 3000]", "[0, 2000]", "Narrow the trial to 20 %").await?;
    browser.wait(&format!("Converged: 12 of 12 run {commit}"))?;
    ensure!(browser.evaluate("window.unchanged ?? null")? == json!(true), "the page was loaded again");
    let command = browser.evaluate(
        "(() => { const found = document.querySelector('td details'); found.open = true; \
         return found.querySelector('code').textContent; })()",
    )?;
    let is_command = |text: &str| text.starts_with("rototo diff 'git+") && text.contains(&format!("#{commit}"));
    ensure!(command.as_str().is_some_and(is_command), "a publish has the command {command}");
    println!("a change arrives by the stream, with the command that shows what it decides otherwise");
    Ok(())
}

/// The laptop sleeps for a night, and its network comes back later than the page.
fn asleep(browser: &mut Browser) -> anyhow::Result<()> {
    browser.wait("Live")?;
    browser.evaluate(
        "(() => { const [now, reach] = [Date.now, window.fetch]; \
         window.fetch = () => Promise.reject(new TypeError('there is no network')); \
         Date.now = () => now.call(Date) + 8 * 3600 * 1000; \
         window.networked = () => { window.fetch = reach; }; })()",
    )?;
    browser.wait("Not confirmed")?;
    browser.wait("as of 8 h ago")?;
    browser.wait("last seen 8 h ago")?;
    ensure!(!browser.text()?.contains("Live"), "the page says that it is live");
    browser.evaluate("window.networked()")?;
    browser.wait("Live")?;
    browser.wait("Converged: 12 of 12 run")?;
    println!("a claim from before the laptop slept is as old as it is");
    Ok(())
}

/// Everything can be reached without a mouse.
fn keyboard(browser: &mut Browser) -> anyhow::Result<()> {
    browser.press(&["Escape"])?;
    browser.wait("Last change")?;
    browser.wait(WORKSPACE)?;
    browser.press(&["/"])?;
    ensure!(browser.evaluate("document.activeElement.id")? == json!("search"), "`/` does not lead to the search");
    for key in WORKSPACE.chars() {
        browser.press(&[&key.to_string()])?;
    }
    browser.press(&["ArrowDown"])?;
    let focused = browser.evaluate("document.activeElement.textContent")?;
    ensure!(focused.as_str().is_some_and(|text| text.ends_with(WORKSPACE)), "the arrow leads to {focused}");
    browser.press(&["Enter"])?;
    browser.wait("Time from the commit".to_uppercase().as_str())?;
    println!("the list is used with keys alone");
    Ok(())
}

async fn refused_and_behind(browser: &mut Browser, scene: &PageScene, pictures: &Path) -> anyhow::Result<()> {
    scene.freeze(3)?;
    let commit = scene.change(TRIAL, "[0, 2000]", "[0, 2500]", "Widen the trial to 25 %").await?;
    browser.wait("Behind")?;
    browser.wait(&format!("9 of 12 run {commit}"))?;
    browser.wait("kubectl logs --namespace")?;
    let refused = scene.change(POLICY, "max_concurrency = 10", "max_concurrency = 0", "Stop all work at once").await?;
    browser.wait(&refused)?;
    browser.wait("severe.toml:2")?;
    browser.shots(pictures, "behind")?;
    scene.thaw()?;
    browser.wait(&format!("Commit refused: 12 of 12 run {commit}"))?;
    scene.change(POLICY, "max_concurrency = 0", "max_concurrency = 10", "Let work go on").await?;
    browser.wait("Converged: 12 of 12 run")?;
    println!("processes that are behind are named with a command, and a refused commit with file and line");
    Ok(())
}

async fn rolling_out(browser: &mut Browser, scene: &PageScene, pictures: &Path) -> anyhow::Result<String> {
    scene
        .steps(json!([{ "pods": 3 }, { "pause": {} }, { "setWeight": 50 }, { "pause": { "duration": "10m" } }]))
        .await?;
    let commit = scene.change(TRIAL, "[0, 2500]", "[0, 5000]", "Widen the trial to 50 %").await?;
    browser.wait("Rolling out")?;
    browser.wait(&format!("3/3 run {commit}"))?;
    browser.wait("Step 2 of 4")?;
    browser.shots(pictures, "rollout")?;
    println!("a rollout shows its steps and the commands");
    Ok(commit)
}

/// `rototo ui` shows the same page, from the status alone.
async fn on_this_machine(browser: &mut Browser, scene: &PageScene, commit: &str) -> anyhow::Result<()> {
    for confirms in [false, true] {
        let (_command, url) = scene.rototo_ui(confirms)?;
        browser.open(&url)?;
        browser.wait("Live")?;
        browser.wait(WORKSPACE)?;
        ensure!(!browser.evaluate("location.href")?.to_string().contains("token"), "the address still has the token");
        let (server, _) = url.split_once('#').unwrap_or_default();
        browser.open(&format!("{server}#/{}/{WORKSPACE}", scene.namespace.name()))?;
        browser.wait("Step 2 of 4")?;
        if confirms {
            scene.asked_after(commit).await?;
        }
    }
    browser.open(&scene.page_of(WORKSPACE))?;
    browser.wait("Live")?;
    println!("`rototo ui` shows the same page, its address loses the token, and it confirms a claim if it is asked to");
    Ok(())
}

/// The operator ends: what stands on the page is no longer a claim about the present.
async fn disconnected(browser: &mut Browser, scene: &mut PageScene, pictures: &Path) -> anyhow::Result<()> {
    scene.steps(json!(null)).await?;
    browser.wait("Converged: 12 of 12 run")?;
    let operator: &mut Operator = &mut scene.operator;
    operator.kill()?;
    browser.wait("Disconnected")?;
    browser.wait("Not confirmed")?;
    browser.wait("the connection is lost")?;
    ensure!(!browser.text()?.contains("Live"), "the page says that it is live");
    browser.shots(pictures, "disconnected")?;
    println!("a lost connection is shown, and no claim of before counts");
    Ok(())
}
