//! A short walk over every target, the same one each time. Long ones are `cargo run --release -p cumulet-fuzz`.

use cumulet_fuzz::{run, targets};

/// Inputs of each target.
const INPUTS: u64 = 2000;

#[test]
fn good_inputs_are_taken() {
    for target in targets() {
        for seed in target.seeds {
            (target.run)(seed);
        }
    }
}

#[test]
fn no_input_breaks_a_parser() {
    for target in targets() {
        if let Err(input) = run(target, 20_260_101, INPUTS) {
            panic!("{} is broken by b\"{}\"", target.name, input.escape_ascii());
        }
    }
}

#[test]
fn a_walk_is_the_same_twice_and_makes_what_is_new() {
    let walk = |seed| {
        let mut walk = cumulet_fuzz::mutate::Walk::new(seed, &[b"a good input"]);
        (0..100).map(|_| walk.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(walk(7), walk(7));
    let distinct: std::collections::BTreeSet<_> = walk(7).into_iter().collect();
    assert!(distinct.len() > 80, "{}", distinct.len());
}
