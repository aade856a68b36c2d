//! Names of hosts.

use super::arguments::text;
use super::{Function, Type};

pub(super) const FUNCTIONS: &[Function] = &[Function::new("getHostByName", &[Type::String], |call, a| {
    let host = String::from_utf8_lossy(text(a, 0));
    Ok(call.env.dns.map_or_else(String::new, |dns| dns.resolve(&host)).into())
})];
