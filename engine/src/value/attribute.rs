//! One attribute of a context: a borrowed scalar, or JSON for lists and objects.

use serde_json::Value;

use crate::value::number::Number;

/// An attribute of a context, as a qualifier sees it.
///
/// ```
/// use rototo_engine::Attribute;
///
/// assert_eq!(Attribute::from("pro"), Attribute::Text("pro"));
/// assert_eq!(Attribute::from(&serde_json::json!(0.5)), Attribute::Float(0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute<'a> {
    /// A value that is `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// An integer that may exceed the signed ones.
    Unsigned(u64),
    /// Any other number. A number that is not finite is [`Attribute::Null`], as it is in JSON.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A list or an object. A scalar in JSON equals that scalar.
    Json(&'a Value),
}

/// An attribute in the form in which it was read. A comparison asks for the type that it compares, and rarely for all
/// of them.
pub trait AttributeValue<'a>: Copy {
    /// Returns the text, if the attribute is one.
    fn text(self) -> Option<&'a str>;
    /// Returns the number, if the attribute is one.
    fn number(self) -> Option<Number>;
    /// Returns the truth value, if the attribute is one.
    fn truth(self) -> Option<bool>;
    /// Returns the attribute, of whatever type.
    fn attribute(self) -> Attribute<'a>;
}

impl<'a> AttributeValue<'a> for &'a Value {
    #[inline(always)]
    fn text(self) -> Option<&'a str> {
        self.as_str()
    }

    #[inline(always)]
    fn number(self) -> Option<Number> {
        Number::of(self.as_number()?)
    }

    #[inline(always)]
    fn truth(self) -> Option<bool> {
        self.as_bool()
    }

    fn attribute(self) -> Attribute<'a> {
        Attribute::from(self)
    }
}

impl<'a> AttributeValue<'a> for Attribute<'a> {
    #[inline(always)]
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    #[inline(always)]
    fn number(self) -> Option<Number> {
        match self {
            Self::Integer(integer) => Some(Number::Integer(integer)),
            Self::Unsigned(integer) => Some(Number::Unsigned(integer)),
            Self::Float(float) => Number::float(float),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::Json(_) => None,
        }
    }

    #[inline(always)]
    fn truth(self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(bool),
            _ => None,
        }
    }

    fn attribute(self) -> Self {
        self
    }
}

impl<'a> Attribute<'a> {
    /// Converts the attribute to JSON.
    #[must_use]
    pub fn to_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => bool.into(),
            Self::Integer(integer) => integer.into(),
            Self::Unsigned(integer) => integer.into(),
            Self::Float(float) => float.into(),
            Self::Text(text) => text.into(),
            Self::Json(value) => value.clone(),
        }
    }

    /// Returns the attribute in the one form that comparisons expect, in whatever form an application gave it.
    #[inline]
    pub(crate) fn normal(self) -> Self {
        match self {
            Self::Json(value) => Self::from(value),
            Self::Float(float) if !float.is_finite() => Self::Null,
            normal => normal,
        }
    }

    /// Returns whether the attribute equals that value; numbers are compared elsewhere.
    pub(crate) fn equals_json(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(other)) => one == *other,
            (Self::Text(one), Value::String(other)) => one == other,
            (Self::Json(one), other) => one == other,
            _ => false,
        }
    }
}

impl<'a> From<&'a Value> for Attribute<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => match Number::of(number) {
                Some(Number::Integer(integer)) => Self::Integer(integer),
                Some(Number::Unsigned(integer)) => Self::Unsigned(integer),
                Some(Number::Float(float)) => Self::Float(float),
                None => Self::Null,
            },
            Value::Null => Self::Null,
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Attribute<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Attribute<'_> {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Attribute<'_> {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<i32> for Attribute<'_> {
    fn from(integer: i32) -> Self {
        Self::Integer(integer.into())
    }
}

impl From<u64> for Attribute<'_> {
    fn from(integer: u64) -> Self {
        Self::Unsigned(integer)
    }
}

impl From<u32> for Attribute<'_> {
    fn from(integer: u32) -> Self {
        Self::Integer(integer.into())
    }
}

impl From<f64> for Attribute<'_> {
    fn from(float: f64) -> Self {
        Self::Float(float).normal()
    }
}
