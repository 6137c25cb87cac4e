//! The subjects of custom rules: the kinds of targets, and the fields of each.

/// A kind of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetKind {
    Workspace,
    Qualifier,
    Variable,
    Value,
    Schema,
}

impl TargetKind {
    pub(super) const ALL: [Self; 5] = [Self::Workspace, Self::Qualifier, Self::Variable, Self::Value, Self::Schema];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Qualifier => "qualifier",
            Self::Variable => "variable",
            Self::Value => "value",
            Self::Schema => "schema",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The names of its fields. A name that ends in `.` is followed by a path of keys.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Workspace => &["extends"],
            Self::Qualifier => &["id", "description", "predicates"],
            Self::Variable => &["id", "description", "type", "schema", "values", "resolve"],
            Self::Value => &["key", "value", "value."],
            Self::Schema => &["json", "json."],
        }
    }
}

/// A field of a target: its name, and for `value.a.b` the keys below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetField {
    pub(super) name: &'static str,
    pub(super) keys: Vec<String>,
}

impl TargetField {
    /// The field of that name, if the kind of target has it.
    pub(super) fn of(kind: TargetKind, text: &str) -> Option<Self> {
        let mut fields = kind.fields().iter();
        fields.find_map(|name| match name.strip_suffix('.') {
            None => (*name == text).then(|| Self { name, keys: Vec::new() }),
            Some(plain) => {
                let keys: Vec<String> = text.strip_prefix(name)?.split('.').map(str::to_owned).collect();
                keys.iter().all(|key| is_key(key)).then_some(Self { name: plain, keys })
            }
        })
    }

    /// The field of an entity, by the entity's name.
    pub(super) fn read(entity: &str, text: &str) -> Option<Self> {
        Self::of(TargetKind::named(entity)?, text)
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
