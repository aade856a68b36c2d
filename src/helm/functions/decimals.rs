//! Float arithmetic in decimal, as sprig does it with shopspring/decimal: `addf 0.1 0.2` is 0.3.

use num_bigint::{BigInt, Sign};

use super::cast::to_float64;
use super::{Failure, Function, Type};
use crate::value::Value;

type Result<T = Value> = std::result::Result<T, Failure>;

/// Digits after the point that a quotient is rounded to.
const DIVISION_PRECISION: i32 = 16;

const ANY: Type = Type::Any;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("add1f", &[ANY], |_, a| computed(&a[0], &[Value::Int(1)], |a, b| Ok(a.add(&b)))),
    Function::variadic("addf", &[], ANY, |_, a| computed(&Value::Float(0.0), a, |a, b| Ok(a.add(&b)))),
    Function::variadic("subf", &[ANY], ANY, |_, a| computed(&a[0], &a[1..], |a, b| Ok(a.add(&b.negated())))),
    Function::variadic("mulf", &[ANY], ANY, |_, a| computed(&a[0], &a[1..], |a, b| Ok(a.multiply(&b)))),
    Function::variadic("divf", &[ANY], ANY, |_, a| computed(&a[0], &a[1..], |a, b| a.divide(&b))),
];

fn computed(first: &Value, rest: &[Value], operation: fn(Decimal, Decimal) -> Result<Decimal>) -> Result {
    let mut result = Decimal::from_float(to_float64(first))?;
    for value in rest {
        result = operation(result, Decimal::from_float(to_float64(value))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

/// A number `digits * 10^exponent`.
struct Decimal {
    digits: BigInt,
    exponent: i32,
}

fn power(exponent: i32) -> BigInt {
    BigInt::from(10).pow(exponent.unsigned_abs())
}

impl Decimal {
    /// Takes the fewest digits that identify a float.
    fn from_float(value: f64) -> Result<Self> {
        if !value.is_finite() {
            let shown = Value::Float(value).to_text()?;
            return Err(Failure::message(format!("Cannot create a Decimal from {shown}")));
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits = mantissa.replace('.', "").parse().unwrap_or_default();
        Ok(Self { digits, exponent: exponent.parse().unwrap_or(0) - fraction as i32 })
    }

    /// Returns the nearest float.
    fn to_float(&self) -> f64 {
        if self.digits.sign() == Sign::NoSign {
            return 0.0;
        }
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// Returns the digits for a smaller exponent.
    fn scaled_to(&self, exponent: i32) -> BigInt {
        &self.digits * power(self.exponent - exponent)
    }

    fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { digits: self.scaled_to(exponent) + other.scaled_to(exponent), exponent }
    }

    fn negated(&self) -> Self {
        Self { digits: -&self.digits, exponent: self.exponent }
    }

    fn multiply(&self, other: &Self) -> Self {
        Self { digits: &self.digits * &other.digits, exponent: self.exponent + other.exponent }
    }

    /// Divides, rounded half away from zero.
    fn divide(&self, other: &Self) -> Result<Self> {
        if other.digits.sign() == Sign::NoSign {
            return Err(Failure::message("decimal division by 0"));
        }
        let shift = self.exponent - other.exponent + DIVISION_PRECISION;
        let (dividend, divisor) = if shift < 0 {
            (self.digits.clone(), &other.digits * power(shift))
        } else {
            (&self.digits * power(shift), other.digits.clone())
        };
        let quotient = &dividend / &divisor;
        let rest = BigInt::from((&dividend - &quotient * &divisor).magnitude().clone() * 2u32);
        let away = if (dividend.sign() == Sign::Minus) == (divisor.sign() == Sign::Minus) { 1 } else { -1 };
        let rounded = if rest >= BigInt::from(divisor.magnitude().clone()) { quotient + away } else { quotient };
        Ok(Self { digits: rounded, exponent: -DIVISION_PRECISION })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(value: f64) -> Decimal {
        Decimal::from_float(value).expect("finite")
    }

    #[test]
    fn sums_are_decimal() {
        assert_eq!(decimal(0.1).add(&decimal(0.2)).to_float(), 0.3);
        assert_eq!(decimal(1.1).multiply(&decimal(1.1)).to_float(), 1.21);
        assert_eq!(decimal(1e300).add(&decimal(-1e-300)).to_float(), 1e300);
    }

    #[test]
    fn quotients_round_half_away_from_zero() {
        assert_eq!(decimal(2.0).divide(&decimal(3.0)).map(|d| d.to_float()).ok(), Some(0.666_666_666_666_666_7));
        assert_eq!(decimal(-1.0).divide(&decimal(3.0)).map(|d| d.to_float()).ok(), Some(-0.333_333_333_333_333_3));
        assert_eq!(decimal(1e-300).divide(&decimal(1.0)).map(|d| d.to_float()).ok(), Some(0.0));
        assert!(decimal(1.0).divide(&decimal(0.0)).is_err());
    }
}
