//! Runs our command and that of the reference side by side, with the same arguments on the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::meant::{self, ObservedDifference};

/// Two directories with the same files, one for each command.
pub struct Both {
    ours: Side,
    theirs: Side,
}

struct Side {
    program: PathBuf,
    directory: tempfile::TempDir,
}

/// The result of a command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub json: Option<Value>,
    pub said: String,
}

impl Default for Both {
    fn default() -> Self {
        Self::new()
    }
}

impl Both {
    pub fn new() -> Self {
        Self { ours: Side::new(ours()), theirs: Side::new(reference()) }
    }

    fn sides(&self) -> [&Side; 2] {
        [&self.ours, &self.theirs]
    }

    pub fn copy(&self, from: &Path, to: &str) {
        self.sides().iter().for_each(|side| copy(from, &side.path(to)));
    }

    pub fn write(&self, path: &str, text: &str) {
        for side in self.sides() {
            fs::create_dir_all(side.path(path).parent().unwrap()).unwrap();
            fs::write(side.path(path), text).unwrap();
        }
    }

    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.ours.path(path)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(path, &text.replace(from, to));
    }

    pub fn remove(&self, path: &str) {
        self.sides().iter().for_each(|side| fs::remove_file(side.path(path)).unwrap());
    }

    /// Makes a repository of a directory, with one commit, the branch `main`, and the tag `v1`. Returns the commit.
    pub fn commit(&self, path: &str) -> String {
        let commits: BTreeSet<String> = self.sides().iter().map(|side| side.commit(path)).collect();
        assert_eq!(commits.len(), 1, "the same files at the same time should make the same commit");
        commits.into_iter().next().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> (CommandOutput, CommandOutput) {
        (self.ours.run(arguments), self.theirs.run(arguments))
    }
}

impl Side {
    fn new(program: PathBuf) -> Self {
        Self { program, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Runs the command. `{}` in an argument stands for the directory, and so does `{}` in the returned output.
    fn run(&self, arguments: &[&str]) -> CommandOutput {
        let root = self.directory.path().display().to_string();
        let arguments = arguments.iter().map(|argument| argument.replace("{}", &root));
        let mut command = Command::new(&self.program);
        command.current_dir(self.directory.path()).env_remove("ROTOTO_WORKSPACE_TOKEN").args(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("{} runs: {error}", self.program.display()));
        let text = String::from_utf8(output.stdout).unwrap().replace(&root, "{}");
        let said = String::from_utf8(output.stderr).unwrap().replace(&root, "{}");
        CommandOutput { code: output.status.code(), json: serde_json::from_str(&text).ok(), said }
    }

    fn commit(&self, path: &str) -> String {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.current_dir(self.path(path)).args(arguments);
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "Test").env(format!("GIT_{who}_EMAIL"), "test@example.com");
                command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "--all"]);
        git(&["-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "Begin"]);
        git(&["-c", "tag.gpgsign=false", "tag", "--annotate", "v1", "--message", "v1"]);
        git(&["rev-parse", "HEAD"])
    }

    /// Returns the kinds of values in each file, by path; `None` for a file that is neither TOML nor JSON.
    fn files(&self) -> BTreeMap<String, Option<Shape>> {
        let (mut files, mut open) = (BTreeMap::new(), vec![self.directory.path().to_path_buf()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.directory.path()).unwrap().display().to_string();
                if path.is_dir() {
                    files.insert(name + "/", None);
                    open.push(path);
                } else {
                    files.insert(name, document(&path).as_ref().map(shape));
                }
            }
        }
        files
    }
}

fn document(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    serde_json::from_str(&text).ok().or_else(|| toml::from_str(&text).ok())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

/// The kinds of values by their path. All items of a list count as one.
type Shape = BTreeSet<(String, &'static str)>;

fn shape(value: &Value) -> Shape {
    let mut shape = Shape::new();
    describe(value, "", &mut shape);
    shape
}

fn describe(value: &Value, at: &str, shape: &mut Shape) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            items.iter().for_each(|item| describe(item, &format!("{at}[]"), shape));
            "list"
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, member)| describe(member, &format!("{at}.{key}"), shape));
            "object"
        }
    };
    shape.insert((at.to_owned(), kind));
}

/// The differences so far.
#[derive(Default)]
pub struct Comparison {
    runs: usize,
    meant: BTreeMap<&'static str, usize>,
    others: Vec<String>,
}

impl Comparison {
    /// Checks that both commands end with the same exit code.
    pub fn same_exit(&mut self, both: &Both, arguments: &[&str]) {
        let (ours, theirs) = both.run(arguments);
        self.compare_exit(arguments, &ours, &theirs);
    }

    /// Checks that both commands end with the same exit code and print the same JSON.
    pub fn same_values(&mut self, both: &Both, arguments: &[&str]) {
        let (ours, theirs) = both.run(arguments);
        if self.compare_exit(arguments, &ours, &theirs) && ours.json != theirs.json {
            self.differs(
                arguments,
                ObservedDifference::Values { ours: ours.json.as_ref(), theirs: theirs.json.as_ref() },
            );
        }
    }

    /// Checks that both commands end with the same exit code, and that our JSON has every member of theirs, with the
    /// same name and kind.
    pub fn same_json(&mut self, both: &Both, arguments: &[&str]) {
        let (ours, theirs) = both.run(arguments);
        if !self.compare_exit(arguments, &ours, &theirs) {
            return;
        }
        let shape_of = |ended: &CommandOutput| ended.json.as_ref().map(shape).unwrap_or_default();
        let (ours, theirs) = (shape_of(&ours), shape_of(&theirs));
        for (at, kind) in theirs.difference(&ours).filter(|(_, kind)| *kind != "null") {
            self.differs(arguments, ObservedDifference::Missing { at, kind });
        }
    }

    /// Checks that both directories have the same files with the same keys.
    pub fn same_files(&mut self, both: &Both, arguments: &[&str]) {
        let (ours, theirs) = (both.ours.files(), both.theirs.files());
        for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (ours, theirs) = (ours.get(path), theirs.get(path));
            if ours != theirs {
                let difference = format!("{ours:?} and {theirs:?}");
                self.differs(arguments, ObservedDifference::File { path, difference: &difference });
            }
        }
    }

    /// Checks that one file is equal in both directories, except for descriptions.
    pub fn same_document(&mut self, both: &Both, path: &str) {
        let [ours, theirs] = both.sides().map(|side| document(&side.path(path)).map(without_words));
        if ours != theirs {
            let difference = format!("{ours:?} and {theirs:?}");
            self.differs(&[], ObservedDifference::File { path, difference: &difference });
        }
    }

    fn compare_exit(&mut self, arguments: &[&str], ours: &CommandOutput, theirs: &CommandOutput) -> bool {
        self.runs += 1;
        if ours.code != theirs.code {
            self.differs(arguments, ObservedDifference::Exit { ours, theirs });
        }
        ours.code == theirs.code
    }

    fn differs(&mut self, arguments: &[&str], seen: ObservedDifference<'_>) {
        match meant::explain(arguments, &seen) {
            Some(meant) => *self.meant.entry(meant).or_default() += 1,
            None => self.others.push(format!("{}: {seen:?}", arguments.join(" "))),
        }
    }

    /// Prints the intended differences, and fails if there are others.
    pub fn finish(self) {
        println!("{} runs of both commands; intended differences:", self.runs);
        for (name, count) in &self.meant {
            println!("  {count:>5}  {name}");
        }
        assert!(self.others.is_empty(), "{} differences:\n{}", self.others.len(), self.others.join("\n"));
    }
}

fn without_words(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|key, _| !matches!(key.as_str(), "title" | "description" | "$comment"));
        members.values_mut().for_each(|member| *member = without_words(member.take()));
    }
    value
}

/// Returns the path of our command, which `cargo xtask test` builds before it runs tests.
fn ours() -> PathBuf {
    let folder = std::env::var_os("ROTOTO_BIN_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| xtask::cargo::binaries().unwrap());
    folder.join("rototo")
}

/// Returns the path of the command of the reference, which is installed the first time.
fn reference() -> PathBuf {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| xtask::reference::ensure().unwrap());
    PROGRAM.clone()
}
