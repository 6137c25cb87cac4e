//! Checks the calls of `lint:on`: each must describe a registration that can be carried out.

use crate::diagnostic::{Severity, Stage};
use crate::lint::custom::Declared;
use crate::lint::custom::field::{TargetField, TargetKind};
use crate::lint::custom::rule::CustomRule;
use crate::lint::rules::is_note;
use crate::lint::similar::resembling;

const STAGES: [(&str, Stage); 5] = [
    ("project", Stage::Project),
    ("reference", Stage::Reference),
    ("value", Stage::Value),
    ("graph", Stage::Graph),
    ("policy", Stage::Policy),
];

/// A valid [`Declared`].
pub(super) struct Declaration {
    pub(super) rule: CustomRule,
    pub(super) stage: Stage,
    pub(super) entity: TargetKind,
    pub(super) field: Option<TargetField>,
}

impl Declaration {
    pub(super) fn of(declared: &Declared) -> Result<Self, String> {
        let stage = STAGES.iter().find(|(name, _)| *name == declared.stage).map(|(_, stage)| *stage);
        let stage = stage.ok_or_else(|| {
            let known = STAGES.map(|(name, _)| name).join(", ");
            format!("there is no stage `{}`: the stages are {known}", declared.stage)
        })?;
        let entity = TargetKind::named(&declared.entity).ok_or_else(|| {
            let known = TargetKind::ALL.map(TargetKind::name).join(", ");
            format!("there is no entity `{}`: the entities are {known}", declared.entity)
        })?;
        let field = declared.field.as_deref().map(|text| TargetField::of(entity, text).ok_or(text)).transpose();
        let field = field.map_err(|text| {
            let parts = entity
                .fields()
                .iter()
                .map(|field| if field.ends_with('.') { format!("{field}<key>") } else { (*field).to_owned() });
            let parts = parts.collect::<Vec<_>>().join(", ");
            format!("{} has no field `{text}`: it has {parts}", entity.name())
        })?;
        if !declared.callable {
            return Err(format!("the file has no function `{}` to be called", declared.handler));
        }
        check_id(&declared.id)?;
        let severity = match declared.severity.as_deref() {
            None | Some("error") => Severity::Error,
            Some("warning") => Severity::Warning,
            Some(other) => return Err(format!("a rule is an `error` or a `warning`, not `{other}`")),
        };
        let rule = CustomRule {
            id: declared.id.clone(),
            severity,
            title: declared.title.clone(),
            help: declared.help.clone(),
        };
        Ok(Self { rule, stage, entity, field })
    }
}

/// Returns the keys of a registration that nothing reads, in words. A slip in one of them may switch the rule off: without
/// its `field`, a handler is given the wrong part of each target. Notes for people are passed over.
pub(super) fn unread(declared: &Declared) -> impl Iterator<Item = String> {
    let (own, of_rule) = (&Declared::KEYS[..], &Declared::KEYS_OF_RULE[..]);
    let named = declared.unread.iter().map(move |key| match key.strip_prefix("rule.") {
        Some(key) => ("`rule`", key, of_rule),
        None => ("`lint:on`", &**key, own),
    });
    named.filter(|(_, key, _)| !is_note(key)).map(move |(place, key, known)| {
        // A key of the other table is a slip of its place.
        let other = [("`lint:on`", own), ("`rule`", of_rule)].into_iter().find(|(_, keys)| keys.contains(&key));
        match (other, resembling(key, known)) {
            (Some((other, _)), _) => format!("{place} does not read `{key}`; {other} does"),
            (None, Some(meant)) => format!("{place} does not read `{key}`; is `{meant}` meant?"),
            (None, None) => {
                let known = known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
                format!("{place} does not read `{key}`, only {known}")
            }
        }
    })
}

/// `payments/limit-too-high`
fn check_id(id: &str) -> Result<(), String> {
    let plain = |part: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(known)
    };
    match id.split_once('/') {
        Some(("rototo", _)) => Err(format!("`{id}` can't be declared: `rototo/` is for the rules that are built in")),
        Some((authority, rule)) if plain(authority) && plain(rule) => Ok(()),
        _ => Err(format!(
            "`{id}` is no name for a rule: it is an authority, a slash, and a fault, each of \
             lowercase letters, digits, and hyphens"
        )),
    }
}
