//! Numbers compared by their mathematical value: 1 is 1.0, and no large integer is rounded on the way.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Whether two values are equal; numbers by value, everything else as JSON.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

/// How two values are ordered; `None` unless both are numbers.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    compare(left.as_number()?, right.as_number()?)
}

/// How two numbers are ordered; `None` only if one of them is no real number.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => integer_with_float(left, right.as_f64()?),
        (None, Some(right)) => integer_with_float(right, left.as_f64()?).map(Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// JSON integers fit into 65 bits, so a float is either beyond them all, or its whole part is one exactly.
fn integer_with_float(integer: i128, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 36_893_488_147_419_103_232.0; // 2^65
    if float.is_nan() {
        return None;
    }
    if float.abs() >= BEYOND {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    #[allow(clippy::cast_possible_truncation)]
    let whole = float.trunc() as i128;
    Some(integer.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_ordered_by_value() {
        let check = |left: Value, right: Value, order| {
            let (Value::Number(a), Value::Number(b)) = (&left, &right) else { panic!("numbers only") };
            assert_eq!(compare(a, b), Some(order), "{left} {right}");
            assert_eq!(compare(b, a), Some(order.reverse()), "{right} {left}");
            assert_eq!(equal(&left, &right), order == Ordering::Equal);
        };
        check(json!(1), json!(1.0), Ordering::Equal);
        check(json!(0), json!(-0.0), Ordering::Equal);
        check(json!(-1), json!(-1.5), Ordering::Greater);
        check(json!(1), json!(1.5), Ordering::Less);
        check(json!(-1), json!(u64::MAX), Ordering::Less);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), Ordering::Greater);
        check(json!(u64::MAX), json!(1e300), Ordering::Less);
        check(json!(i64::MIN), json!(-1e300), Ordering::Greater);
    }

    #[test]
    fn values_of_different_types_are_not_equal() {
        for (left, right) in [(json!("1"), json!(1)), (json!(true), json!(1)), (json!(null), json!(false))] {
            assert!(!equal(&left, &right), "{left} {right}");
        }
    }
}
