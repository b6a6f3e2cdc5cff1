use super::*;

fn over(name: &str, cause: StopReason) -> StopReason {
    let limit = (3, Duration::from_secs(5));
    StopReason::RestartLimit(Arc::new(Escalation::new(
        ActorId::new(0, 7, 1),
        Some(name.into()),
        "T",
        limit,
        cause,
    )))
}

#[test]
fn s05_the_chain_of_causes_reads_in_one_line() {
    let failure = StopReason::Panicked("no connection".into());
    let reason = over("pool", over("db", failure.clone()));
    assert_eq!(
        reason.to_string(),
        "restart limit reached (3 in 5s), last failure: pool \
         restart limit reached (3 in 5s), last failure: db panicked: no connection"
    );
    assert_eq!(reason.causes().count(), 3);
    assert_eq!(reason.root_cause(), &failure);
    assert_eq!(failure.root_cause(), &failure);
    assert!(!reason.is_normal() && StopReason::AutoShutdown.is_normal());
}

#[test]
fn a_chain_as_deep_as_a_tree_is_kept_short() {
    let failure = StopReason::Failed("disk".into());
    let mut reason = failure.clone();
    for _ in 0..100_000 {
        reason = over("level", reason);
    }
    assert_eq!(reason.causes().count(), StopReason::CAUSES_MAX as usize + 1);
    assert_eq!(reason.root_cause(), &failure);
    assert!(reason.to_string().ends_with("failed: disk"));
}
