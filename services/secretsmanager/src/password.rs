//! GetRandomPassword (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html>).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::errors;
use crate::operations::{flag, text};

const LENGTH_DEFAULT: u64 = 32;
const LENGTH_MAX: u64 = 4096;
const SETS: &[(&str, &str)] = &[
    ("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"),
    ("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("ExcludeNumbers", "0123456789"),
    ("ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
];

/// Below `bound`, each equally likely.
fn below(bound: usize) -> usize {
    let bound = bound as u64;
    loop {
        let drawn = u64::from_le_bytes(id::random());
        if drawn < u64::MAX - u64::MAX % bound {
            return (drawn % bound) as usize;
        }
    }
}

pub fn run(call: &Call) -> Result<Answer, ApiError> {
    let length = call.input.get("PasswordLength").filter(|value| !value.is_null());
    let length = length.map_or(Some(LENGTH_DEFAULT), Value::as_u64).filter(|n| (1..=LENGTH_MAX).contains(n));
    let length =
        length.ok_or_else(|| errors::invalid_parameter("PasswordLength must be between 1 and 4096."))? as usize;
    let excluded = text(call, "ExcludeCharacters").unwrap_or_default();
    let mut sets: Vec<Vec<char>> = SETS
        .iter()
        .filter(|(member, _)| !flag(call, member))
        .map(|(_, set)| set.chars().filter(|c| !excluded.contains(*c)).collect())
        .filter(|set: &Vec<char>| !set.is_empty())
        .collect();
    let all: Vec<char> = {
        let space = (flag(call, "IncludeSpace") && !excluded.contains(' ')).then_some(' ');
        sets.iter().flatten().copied().chain(space).collect()
    };
    if all.is_empty() {
        return Err(errors::invalid_parameter("No characters are left to make a password of."));
    }
    if call.input.get("RequireEachIncludedType").and_then(Value::as_bool) == Some(false) {
        sets.clear();
    }
    if sets.len() > length {
        return Err(errors::invalid_parameter("The password is too short for a character of each type."));
    }
    let mut password: Vec<char> = sets.iter().map(|set| set[below(set.len())]).collect();
    password.resize_with(length, || all[below(all.len())]);
    for index in (1..password.len()).rev() {
        password.swap(index, below(index + 1));
    }
    Answer::json(json!({ "RandomPassword": password.into_iter().collect::<String>() }))
}
