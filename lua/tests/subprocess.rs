//! Lua in another process: its results, its confinement, and the loss of a process. This test program is that process,
//! too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rototo_engine::lint::{Declared, Script, ScriptError, ScriptErrorKind, Scripts};
use rototo_engine::{Tree, lint_with, parse};
use rototo_lua::{InProcess, SANDBOX, ScriptLimits, Subprocess, serve};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(SANDBOX) {
        return serve();
    }
    it_gives_the_same_results_as_in_process();
    it_is_confined();
    each_hostile_script_ends_and_the_next_one_runs();
    a_lost_process_is_reported();
    a_process_that_never_answers_is_ended();
    println!("test result: ok. 5 passed");
    ExitCode::SUCCESS
}

fn subprocess() -> Subprocess {
    Subprocess::new(std::env::current_exe().unwrap())
}

fn register(scripts: &mut dyn Scripts, body: &str) -> Result<Vec<Declared>, ScriptError> {
    let text = format!("function register(lint)\n{body}\nend");
    scripts.register(Script { path: "lint/a.lua", text: &text })
}

fn it_gives_the_same_results_as_in_process() {
    let script = "function register(lint) lint:on({ stage = 'value', entity = 'value', rule = { id = 'a/b', title = 'T', help = 'H' }, handler = 'check' }) end function check(ctx) return { { message = 'é\\n' .. ctx.target.name } } end";
    let files = [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        (
            "variables/a.toml",
            "schema_version = 1\ntype = \"int\"\nvalues = { x = 1, y = 2 }\nresolve = { default = \"x\" }\n",
        ),
        ("lint/a.lua", script),
        ("lint/b.lua", "nonsense"),
    ];
    let tree: Tree = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let parsed = parse(tree);
    let here = lint_with(&parsed, &mut InProcess::new(ScriptLimits::default()));
    assert_eq!(here.errors(), 3, "{here:?}");
    assert_eq!(lint_with(&parsed, &mut subprocess()), here);
}

fn children() -> Vec<PathBuf> {
    let of = |task: PathBuf| fs::read_to_string(task.join("children")).unwrap_or_default();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| of(task.path()));
    tasks.flat_map(|ids| ids.split_whitespace().map(|id| Path::new("/proc").join(id)).collect::<Vec<_>>()).collect()
}

fn it_is_confined() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut scripts = subprocess();
    assert_eq!(register(&mut scripts, ""), Ok(Vec::new()));
    let unable = register(&mut scripts, "local s = string.rep('x', 10 * 1024 * 1024 * 1024)").unwrap_err();
    assert_eq!(unable.cause, ScriptErrorKind::Memory);
    let unable =
        register(&mut scripts, "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end").unwrap_err();
    assert_eq!(unable.cause, ScriptErrorKind::Memory);
    let child = children().pop().unwrap();
    let limits = fs::read_to_string(child.join("limits")).unwrap();
    for (name, most) in [
        ("Max open files", "0"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
        ("Max cpu time", "30"),
        ("Max address space", "268435456"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<_> = line[name.len()..].split_whitespace().collect();
        assert_eq!(words[..2], [most, most], "{line}");
    }
    let status = fs::read_to_string(child.join("status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), ("2".to_owned(), "1".to_owned()));
    assert_eq!(fs::read(child.join("environ")).unwrap(), b"");
    let most: u64 = field("VmHWM:").trim_end_matches(" kB").trim().parse().unwrap();
    assert!(most < 64 * 1024, "{most} kB");
}

fn each_hostile_script_ends_and_the_next_one_runs() {
    let mut scripts = subprocess();
    for (body, cause) in [
        ("while true do end", ScriptErrorKind::Instructions),
        ("local s = ('x'):rep(10 << 30)", ScriptErrorKind::Memory),
        ("local function f(n) return 1 + f(n) end f(1)", ScriptErrorKind::Fault),
        ("while true do pcall(function() while true do end end) end", ScriptErrorKind::Instructions),
        ("local x = ('a'):rep(60):find(('a*'):rep(40) .. 'b')", ScriptErrorKind::Instructions),
        ("coroutine.wrap(function() while true do end end)()", ScriptErrorKind::Fault),
        ("os.exit(1)", ScriptErrorKind::Fault),
        ("io.open('/etc/passwd')", ScriptErrorKind::Fault),
        ("require('os')", ScriptErrorKind::Fault),
        ("load('return 1')()", ScriptErrorKind::Fault),
        ("debug.sethook()", ScriptErrorKind::Fault),
        ("string.dump(register)", ScriptErrorKind::Fault),
    ] {
        let unable = register(&mut scripts, body).unwrap_err();
        assert!(unable.cause == cause || unable.cause == ScriptErrorKind::Memory, "{body}: {unable:?}");
        assert_eq!(register(&mut scripts, ""), Ok(Vec::new()), "after {body}");
    }
}

/// A program that runs this script instead of answering.
fn program(name: &str, script: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rototo-lua-{}-{name}", std::process::id()));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn a_lost_process_is_reported() {
    let dies = program("dies", "read line; kill -9 $$");
    let unable = register(&mut Subprocess::new(dies.clone()), "").unwrap_err();
    assert!(unable.cause == ScriptErrorKind::Process && unable.message.contains("signal: 9"), "{unable:?}");
    fs::remove_file(dies).unwrap();
    let unable = register(&mut Subprocess::new("/nowhere".into()), "").unwrap_err();
    assert!(unable.cause == ScriptErrorKind::Process && unable.message.contains("could not be started"), "{unable:?}");
    let babbles = program("babbles", "read line; echo babble");
    let unable = register(&mut Subprocess::new(babbles.clone()), "").unwrap_err();
    assert!(unable.cause == ScriptErrorKind::Process && unable.message.contains("unreadable answer"), "{unable:?}");
    fs::remove_file(babbles).unwrap();
}

fn a_process_that_never_answers_is_ended() {
    let hangs = program("hangs", "read line; exec sleep 600");
    let unable = register(&mut Subprocess::new(hangs.clone()), "").unwrap_err();
    assert_eq!(unable.cause, ScriptErrorKind::Time);
    fs::remove_file(hangs).unwrap();
    assert!(children().is_empty());
}
