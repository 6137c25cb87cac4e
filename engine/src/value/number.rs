//! Numbers, compared by their mathematical value: 1 equals 1.0, and no large integer is rounded.

use std::cmp::Ordering;

use serde_json::Value;

/// A real number. A float in it is finite.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer.
    Integer(i64),
    /// An integer that may exceed the signed ones.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other).is_eq()
    }
}

impl Number {
    /// Returns `None` only if the number is not real.
    #[inline(always)]
    pub(crate) fn of(number: &serde_json::Number) -> Option<Self> {
        match number.as_i64() {
            Some(integer) => Some(Self::Integer(integer)),
            None => number.as_u64().map(Self::Unsigned).or_else(|| Self::float(number.as_f64()?)),
        }
    }

    #[inline]
    pub(crate) fn float(float: f64) -> Option<Self> {
        float.is_finite().then_some(Self::Float(float))
    }

    /// Returns the order of two numbers.
    #[inline]
    pub(crate) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.cmp(&right),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            _ => self.order_mixed(other),
        }
    }

    fn order_mixed(self, other: Self) -> Ordering {
        match (self.integer(), other.integer()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            (Ok(left), Err(right)) => integer_with_float(left, right),
            (Err(left), Ok(right)) => integer_with_float(right, left).reverse(),
            (Err(left), Err(right)) => left.total_cmp(&right),
        }
    }

    fn integer(self) -> Result<i128, f64> {
        match self {
            Self::Integer(integer) => Ok(integer.into()),
            Self::Unsigned(integer) => Ok(integer.into()),
            Self::Float(float) => Err(float),
        }
    }
}

/// Integers fit into 65 bits, so a float is either beyond all of them, or its integral part is exactly one of them.
fn integer_with_float(integer: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 36_893_488_147_419_103_232.0; // 2^65
    if float.abs() >= BEYOND {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    #[allow(clippy::cast_possible_truncation, reason = "larger values have returned above")]
    let whole = float.trunc() as i128;
    integer.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0)))
}

/// Returns whether two values are equal, numbers by their value.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one.order(other).is_eq(),
            _ => one == other,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_ordered_by_value() {
        let check = |left: Value, right: Value, order: Ordering| {
            let [a, b] = [&left, &right].map(|value| Number::of(value.as_number().unwrap()).unwrap());
            assert_eq!(a.order(b), order, "{left} {right}");
            assert_eq!(b.order(a), order.reverse(), "{right} {left}");
        };
        check(json!(1), json!(1.0), Ordering::Equal);
        check(json!(0), json!(-0.0), Ordering::Equal);
        check(json!(0.0), json!(-0.0), Ordering::Equal);
        check(json!(-1), json!(-1.5), Ordering::Greater);
        check(json!(1), json!(1.5), Ordering::Less);
        check(json!(-1), json!(u64::MAX), Ordering::Less);
        check(json!(i64::MAX), json!(u64::MAX), Ordering::Less);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), Ordering::Greater);
        check(json!(u64::MAX), json!(1e300), Ordering::Less);
        check(json!(i64::MIN), json!(-1e300), Ordering::Greater);
    }
}
