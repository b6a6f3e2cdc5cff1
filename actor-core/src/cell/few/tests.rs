use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn actor(n: u32) -> ActorId {
    ActorId::new(0, n, 1)
}

proptest! {
    /// Against a map that cannot be wrong, over sizes on both sides of the border.
    #[test]
    fn it_is_a_map(steps in prop::collection::vec((0u32..60, 0u8..3, any::<u16>()), 0..400)) {
        let mut few = Few::new();
        let mut model = BTreeMap::new();
        for (n, step, value) in steps {
            match step {
                0 => prop_assert_eq!(few.remove(actor(n)), model.remove(&n)),
                1 => prop_assert_eq!(few.get_mut(actor(n)).copied(), model.get(&n).copied()),
                _ => prop_assert_eq!(few.insert(actor(n), value), model.insert(n, value)),
            }
            prop_assert_eq!(few.len(), model.len());
        }
        let mut left: Vec<_> = few.iter().map(|(actor, value)| (actor.index(), *value)).collect();
        left.sort_unstable();
        prop_assert_eq!(left, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_order_is_that_of_entering() {
    let mut few = Few::new();
    for n in 0..100 {
        few.insert(actor(n), ());
    }
    let order: Vec<_> = few.iter().map(|(actor, ())| actor.index()).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    assert_eq!(few.take().len(), 100);
    assert_eq!(few.len(), 0);
    assert!(few.index.is_none());
}
