//! Random texts and numbers. The bytes come from the render's source.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arguments::{check_len, int, text};
use super::{Call, Failure, Function, Random, Type};
use crate::runes;
use crate::value::Value;

type Result<T = Value> = std::result::Result<T, Failure>;

/// How many random characters or bytes one call makes at most.
const MAX_RANDOM: i64 = 1 << 24;

const INT: Type = Type::Int;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("randAlphaNum", &[INT], |call, a| characters(call, int(a, 0), |c| c.is_ascii_alphanumeric())),
    Function::new("randAlpha", &[INT], |call, a| characters(call, int(a, 0), |c| c.is_ascii_alphabetic())),
    Function::new("randNumeric", &[INT], |call, a| characters(call, int(a, 0), |c| c.is_ascii_digit())),
    Function::new("randAscii", &[INT], |call, a| characters(call, int(a, 0), |c| (b' '..=b'~').contains(&c))),
    Function::new("randBytes", &[INT], rand_bytes),
    Function::new("randInt", &[INT, INT], rand_int),
    Function::new("shuffle", &[Type::String], shuffle),
    Function::new("uuidv4", &[], uuid),
];

fn check_count(count: i64) -> Result<()> {
    if count > MAX_RANDOM {
        return Err(Failure::limit(format!("{count} random characters are more than {MAX_RANDOM}")));
    }
    Ok(())
}

/// Makes a text of ASCII characters that are `wanted`, each as likely as any other. A negative count gives nothing.
fn characters(call: &mut Call<'_>, count: i64, wanted: fn(u8) -> bool) -> Result {
    check_count(count)?;
    let count = usize::try_from(count).unwrap_or(0);
    let mut out = Vec::with_capacity(count);
    let mut bytes = [0; 256];
    while out.len() < count {
        call.env.random.fill(&mut bytes);
        let missing = count - out.len();
        out.extend(bytes.iter().map(|byte| byte & 0x7f).filter(|c| wanted(*c)).take(missing));
    }
    Ok(out.into())
}

fn rand_bytes(call: &mut Call<'_>, a: &[Value]) -> Result {
    let count = int(a, 0);
    let len = usize::try_from(count).map_err(|_| Failure::message("runtime error: makeslice: len out of range"))?;
    check_count(count)?;
    check_len(len)?;
    let mut bytes = vec![0; len];
    call.env.random.fill(&mut bytes);
    Ok(STANDARD.encode(bytes).into())
}

/// Returns a number below `bound`, each as likely as any other.
fn below(random: &dyn Random, bound: u64) -> u64 {
    // Numbers beyond the last whole multiple of the bound would favour the small ones.
    let usable = u64::MAX - u64::MAX % bound;
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        if number < usable {
            return number % bound;
        }
    }
}

fn rand_int(call: &mut Call<'_>, a: &[Value]) -> Result {
    let (min, max) = (int(a, 0), int(a, 1));
    let width = max.wrapping_sub(min);
    if width <= 0 {
        return Err(Failure::message("invalid argument to Intn"));
    }
    Ok(Value::Int(min.wrapping_add(below(call.env.random, width as u64) as i64)))
}

fn shuffle(call: &mut Call<'_>, a: &[Value]) -> Result {
    let mut all: Vec<char> = runes::chars(text(a, 0)).collect();
    for last in (1..all.len()).rev() {
        all.swap(last, below(call.env.random, last as u64 + 1) as usize);
    }
    Ok(all.into_iter().collect::<String>().into())
}

fn uuid(call: &mut Call<'_>, _: &[Value]) -> Result {
    let mut bytes = [0; 16];
    call.env.random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
}
