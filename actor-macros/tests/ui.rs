//! What the macros refuse, and in which words.
//!
//! After a change of words: `TRYBUILD=overwrite cargo test -p actor-macros --test ui`, and read the
//! difference.

#[test]
fn refusals_name_the_token_and_the_way_out() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn what_is_right_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}
