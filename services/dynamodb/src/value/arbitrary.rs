//! Values for property tests: few names and small numbers, so that they meet.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::{Item, Number, Value};

pub fn number() -> impl Strategy<Value = Number> {
    (-40i64..40, -2i32..3).prop_map(|(digits, exponent)| Number::parse(&format!("{digits}e{exponent}")).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,3}", "\\PC{0,4}"]
}

fn blob() -> impl Strategy<Value = bytes::Bytes> {
    vec(0u8..3, 0..4).prop_map(bytes::Bytes::from)
}

pub fn scalar_key() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::S), number().prop_map(Value::N), blob().prop_map(Value::B)]
}

pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => scalar_key(),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        1 => btree_set("[a-c]{1,2}", 1..4).prop_map(Value::Ss),
        1 => btree_set(number(), 1..4).prop_map(Value::Ns),
        1 => btree_set(vec(0u8..3, 1..3).prop_map(bytes::Bytes::from), 1..4).prop_map(Value::Bs),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::L), btree_map("[a-d]", inner, 0..4).prop_map(Value::M),]
    })
}

pub fn item() -> impl Strategy<Value = Item> {
    btree_map("[a-d]", value(), 0..5)
}
