//! Custom rules, `lint/*.lua`: their declarations, the targets on which their handlers run, and the places of their
//! objections. Lua itself runs behind [`Scripts`].

mod declare;
mod field;
mod port;
pub(crate) mod rule;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

pub use crate::lint::custom::port::{Call, Declared, Objection, Refuse, Script, ScriptError, ScriptErrorKind, Scripts};
pub use crate::lint::custom::rule::CustomRule;

use crate::diagnostic::{Entity, Stage};
use crate::document::text::{Lines, Span};
use crate::lint::custom::declare::Declaration;
use crate::lint::custom::field::TargetField;
use crate::lint::custom::targets::Target;
use crate::parse::{Parsed, Places};

/// The most findings of all custom rules of one workspace. More findings help nobody, and would have to be kept.
const MOST_FINDINGS: usize = 5_000;

/// The declarations of a workspace's scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom {
    /// The rules by id.
    pub rules: BTreeMap<String, CustomRule>,
    /// The registrations, in the order of files and of calls of `lint:on`.
    pub registrations: Vec<Registration>,
    /// True if a time limit, or the loss of a process, is the reason for which a handler did not run: another run may
    /// have other findings.
    pub interrupted: bool,
}

/// A handler, and the targets on which it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// The script.
    #[serde(skip)]
    pub path: Arc<str>,
    /// The stage of lint after which it runs.
    pub stage: Stage,
    /// The kind of its targets; it runs once for each.
    pub entity: &'static str,
    /// The field of the targets that it checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The rule of its objections.
    pub rule: String,
    /// The name of the function.
    pub handler: String,
    #[serde(skip)]
    parsed_field: Option<TargetField>,
    #[serde(skip)]
    span: Option<Span>,
}

/// The kind of a fault of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptFaultKind {
    Failed,
    Unregistered,
    KeyUnread,
    Invalid,
    Conflict,
    Duplicate,
}

/// A fault of a script, which a built-in rule reports.
pub(super) struct ScriptFault {
    pub(super) kind: ScriptFaultKind,
    pub(super) stage: Stage,
    pub(super) entity: Entity,
    pub(super) path: Arc<str>,
    pub(super) span: Option<Span>,
    pub(super) message: String,
    pub(super) key: Option<&'static str>,
    pub(super) related: Option<(Arc<str>, Option<Span>, &'static str)>,
}

/// The result of running a handler.
pub(super) enum HandlerResult {
    Objects(ScriptFinding),
    Failed(ScriptFault),
}

impl HandlerResult {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Objects(found) => found.stage,
            Self::Failed(fault) => fault.stage,
        }
    }
}

/// An objection of a script.
pub(super) struct ScriptFinding {
    pub(super) rule: CustomRule,
    pub(super) stage: Stage,
    pub(super) entity: Entity,
    pub(super) path: Arc<str>,
    pub(super) span: Option<Span>,
    pub(super) message: String,
}

/// The results of running all scripts.
#[derive(Default)]
pub(super) struct ScriptsRun {
    pub(super) custom: Custom,
    /// Faults in the declarations.
    pub(super) faults: Vec<ScriptFault>,
    /// The results of the handlers, in the order of stages.
    pub(super) asked: Vec<HandlerResult>,
}

/// Lets every script declare its rules, and runs every handler on its targets.
pub(super) fn run(parsed: &Parsed, scripts: &mut dyn Scripts) -> ScriptsRun {
    let mut run =
        Run { parsed, scripts, texts: BTreeMap::new(), outcome: ScriptsRun::default(), places: None, given_up: false };
    for path in &parsed.custom_lints {
        run.register(path);
    }
    run.note_duplicates();
    for registration in run.outcome.custom.registrations.clone() {
        run.ask(&registration);
    }
    run.outcome.asked.sort_by_key(HandlerResult::stage);
    run.outcome
}

struct Run<'a> {
    parsed: &'a Parsed,
    scripts: &'a mut dyn Scripts,
    texts: BTreeMap<&'a str, &'a str>,
    outcome: ScriptsRun,
    /// The places of the document that was read last: targets come one document after the other.
    places: Option<(Arc<str>, Places<'a>)>,
    /// True if no further handler can run, and that has been reported.
    given_up: bool,
}

impl<'a> Run<'a> {
    fn register(&mut self, path: &'a Arc<str>) {
        let bytes = self.parsed.tree().get(path).map(|document| &*document.bytes).unwrap_or_default();
        let Ok(text) = std::str::from_utf8(bytes) else {
            let unable = ScriptError::new(ScriptErrorKind::Fault, "the file is not UTF-8 text");
            return self.register_failed(path, None, &unable);
        };
        self.texts.insert(path, text);
        if self.given_up {
            return;
        }
        let lines = Lines::of(bytes);
        match self.scripts.register(Script { path, text }) {
            Err(unable) => {
                let span = unable.line.and_then(|line| line_of(text, &lines, line));
                self.gave_no_answer(&unable);
                self.register_failed(path, span, &unable);
            }
            Ok(declared) if declared.is_empty() => {
                let message =
                    "the file registers no rule, so nothing in it runs: call `lint:on` in `register`".to_owned();
                self.fault(ScriptFaultKind::Unregistered, path, None, message);
            }
            Ok(declared) => {
                for one in declared {
                    let span = one.line.and_then(|line| line_of(text, &lines, line));
                    self.declare(path, span, one);
                }
            }
        }
    }

    fn declare(&mut self, path: &Arc<str>, span: Option<Span>, declared: Declared) {
        for message in declare::unread(&declared) {
            self.fault(ScriptFaultKind::KeyUnread, path, span, message);
        }
        let Declaration { rule, stage, entity, field } = match Declaration::of(&declared) {
            Ok(declaration) => declaration,
            Err(message) => return self.fault(ScriptFaultKind::Invalid, path, span, message),
        };
        let rules = &mut self.outcome.custom.rules;
        match rules.get(&rule.id) {
            Some(known) if *known != rule => {
                let message = format!("`{}` was declared before with another title, help, or severity", rule.id);
                return self.fault(ScriptFaultKind::Conflict, path, span, message);
            }
            Some(_) => {}
            None => drop(rules.insert(rule.id.clone(), rule.clone())),
        }
        self.outcome.custom.registrations.push(Registration {
            path: Arc::clone(path),
            stage,
            entity: entity.name(),
            field: declared.field,
            rule: rule.id,
            handler: declared.handler,
            parsed_field: field,
            span,
        });
    }

    fn note_duplicates(&mut self) {
        let mut first = BTreeMap::new();
        let mut faults = Vec::new();
        for one in &self.outcome.custom.registrations {
            let key = (&one.path, one.stage, one.entity, &one.field, &one.rule, &one.handler);
            match first.get(&key) {
                None => drop(first.insert(key, one.span)),
                Some(first) => faults.push((Arc::clone(&one.path), one.span, one.handler.clone(), *first)),
            }
        }
        for (path, span, handler, first) in faults {
            let message =
                format!("`{handler}` is registered twice for the same stage, entity, and rule, and runs twice");
            self.fault(ScriptFaultKind::Duplicate, &path, span, message);
            if let Some(fault) = self.outcome.faults.last_mut() {
                fault.related = Some((path, first, "the first registration"));
            }
        }
    }

    /// Runs a handler on each of its targets.
    fn ask(&mut self, registration: &Registration) {
        let rule = self.outcome.custom.rules.get(&registration.rule).cloned();
        let (Some(rule), Some(text)) = (rule, self.texts.get(&*registration.path).copied()) else { return };
        let script = Script { path: &registration.path, text };
        for target in targets::of(self.parsed, registration.entity, registration.parsed_field.as_ref()) {
            if self.given_up {
                return;
            }
            let call = Call {
                script,
                handler: &registration.handler,
                stage: registration.stage,
                entity: registration.entity,
                target: &target.data,
            };
            match self.scripts.check(&call) {
                Ok(objections) => self.found(&rule, registration, &target, objections),
                Err(unable) => self.ask_failed(registration, text, &target, &unable),
            }
        }
    }

    fn found(&mut self, rule: &CustomRule, of: &Registration, target: &Target, objections: Vec<Objection>) {
        for Objection { message, field } in objections {
            if self.outcome.asked.len() >= MOST_FINDINGS {
                self.given_up = true;
                let message = format!(
                    "the workspace's custom rules have more than {MOST_FINDINGS} findings: no further rule was run"
                );
                return self.fault(ScriptFaultKind::Failed, &of.path, of.span, message);
            }
            let field = field.as_deref().and_then(|field| TargetField::read(of.entity, field));
            let span = self.span(target, field.as_ref().or(of.parsed_field.as_ref()));
            self.outcome.asked.push(HandlerResult::Objects(ScriptFinding {
                rule: rule.clone(),
                stage: of.stage,
                entity: target.entity.clone(),
                path: Arc::clone(&target.path),
                span,
                message,
            }));
        }
    }

    fn ask_failed(&mut self, of: &Registration, text: &str, target: &Target, unable: &ScriptError) {
        self.gave_no_answer(unable);
        let span = self.span(target, of.parsed_field.as_ref());
        let line = unable.line.and_then(|line| line_of(text, &Lines::of(text.as_bytes()), line));
        self.outcome.asked.push(HandlerResult::Failed(ScriptFault {
            kind: ScriptFaultKind::Failed,
            stage: of.stage,
            entity: target.entity.clone(),
            path: Arc::clone(&target.path),
            span,
            message: format!("`{}` of {} failed on this: {}", of.handler, of.path, unable.message),
            key: Some(unable.cause.name()),
            related: line.or(of.span).map(|span| (Arc::clone(&of.path), Some(span), "in this rule")),
        }));
    }

    fn span(&mut self, target: &Target, field: Option<&TargetField>) -> Option<Span> {
        let steps = target.steps(field)?;
        if self.places.as_ref().is_none_or(|(known, _)| *known != target.path) {
            let bytes = self.parsed.tree().get(&target.path).map(|document| &*document.bytes).unwrap_or_default();
            self.places = Some((Arc::clone(&target.path), Places::of(bytes)));
        }
        self.places.as_ref().and_then(|(_, places)| places.find(&steps).span())
    }

    fn gave_no_answer(&mut self, unable: &ScriptError) {
        self.given_up |= unable.cause.is_final();
        self.outcome.custom.interrupted |= unable.cause.may_pass();
    }

    fn register_failed(&mut self, path: &Arc<str>, span: Option<Span>, unable: &ScriptError) {
        self.fault(ScriptFaultKind::Failed, path, span, unable.message.clone());
        if let Some(fault) = self.outcome.faults.last_mut() {
            fault.key = Some(unable.cause.name());
        }
    }

    fn fault(&mut self, kind: ScriptFaultKind, path: &Arc<str>, span: Option<Span>, message: String) {
        self.outcome.faults.push(ScriptFault {
            kind,
            stage: Stage::Register,
            entity: Entity::CustomLint { path: path.to_string() },
            path: Arc::clone(path),
            span,
            message,
            key: None,
            related: None,
        });
    }
}

/// The span of a line, which is counted from 1.
fn line_of(text: &str, lines: &Lines<'_>, line: usize) -> Option<Span> {
    let from = lines.byte_at(line, 1);
    let rest = text.get(from..)?;
    let line = rest.lines().next().map(str::trim_end).filter(|line| !line.trim().is_empty())?;
    let start = from + (line.len() - line.trim_start().len());
    Some(Span { start, end: from + line.len() })
}
