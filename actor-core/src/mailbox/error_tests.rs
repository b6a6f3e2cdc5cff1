//! The words of each refusal, and the message that comes back.

use super::*;

fn target() -> ActorId {
    ActorId::new(1, 7, 3)
}

/// Has no `Debug`, as messages often have none.
#[derive(Clone, PartialEq, Eq)]
struct Order(u32);

fn send_errors() -> [(SendError<Order>, &'static str); 5] {
    let (target, message) = (target(), Order(4));
    [
        (
            SendError::Full {
                target,
                capacity: 16,
                message: message.clone(),
            },
            "mailbox of actor:1.7.3 is full (16 messages); wait with send(..).await, retry, or give it a \
             larger mailbox",
        ),
        (
            SendError::Dead {
                target,
                message: message.clone(),
            },
            "actor:1.7.3 has stopped",
        ),
        (
            SendError::Overloaded {
                target,
                message: message.clone(),
            },
            "message to actor:1.7.3 refused: the process is at its memory limit for messages",
        ),
        (
            SendError::Expired {
                target,
                message: message.clone(),
            },
            "message to actor:1.7.3 not sent: its deadline passed first",
        ),
        (
            SendError::Cancelled { target, message },
            "message to actor:1.7.3 not sent: its context was cancelled",
        ),
    ]
}

#[test]
fn a_refused_message_comes_back_with_the_reason() {
    for (error, words) in send_errors() {
        assert_eq!(error.to_string(), words);
        assert_eq!(error.target(), target());
        let debug = format!("{error:?}");
        assert!(
            debug.contains("actor:1.7.3") && debug.contains("Order"),
            "{debug}"
        );
        assert_eq!(error.is_full(), matches!(error, SendError::Full { .. }));
        assert_eq!(error.is_dead(), matches!(error, SendError::Dead { .. }));
        assert!(error.into_message() == Order(4));
    }
}

#[test]
fn an_ask_that_was_not_sent_says_the_same_and_gives_back_as_much() {
    for (error, _) in send_errors() {
        let ask = AskError::from(error.clone());
        assert_eq!(ask.target(), target());
        let debug = format!("{error:?}");
        let name = debug.split_whitespace().next().expect("a name");
        assert!(
            format!("{ask:?}").starts_with(name),
            "{ask:?} was {error:?}"
        );
        assert!(ask.into_message() == Some(Order(4)));
    }
}

#[test]
fn an_ask_says_what_became_of_it() {
    let target = target();
    let path = DeadlockPath(vec![target, ActorId::new(0, 1, 1)]);
    assert_eq!(
        path.to_string(),
        "actor:1.7.3 -> actor:0.1.1 -> actor:1.7.3"
    );
    assert_eq!(path.actors().len(), 2);
    let errors: [(AskError<Order>, &str, bool); 8] = [
        (
            AskError::Dead {
                target,
                message: None,
            },
            "stopped before it could reply",
            false,
        ),
        (
            AskError::Expired {
                target,
                waited: Duration::from_millis(5),
                message: None,
            },
            "before the deadline (waited 5ms)",
            false,
        ),
        (
            AskError::Cancelled {
                target,
                message: None,
            },
            "was cancelled",
            false,
        ),
        (
            AskError::Panicked { target },
            "panicked while handling actor_core::",
            false,
        ),
        (AskError::NoReply { target }, "without a reply", false),
        (AskError::NoRoom { target }, "it was not handled", false),
        (
            AskError::Deadlock {
                path,
                message: Some(Order(4)),
            },
            "actor:1.7.3 -> actor:0.1.1 -> actor:1.7.3; use tell in one direction",
            true,
        ),
        (
            AskError::WouldBlock {
                target,
                message: Order(4),
            },
            "use ask(..).await",
            true,
        ),
    ];
    for (error, words, comes_back) in errors {
        assert!(error.to_string().contains(words), "{error}");
        assert!(format!("{error:?}").contains("actor:"), "{error:?}");
        // The same words, but for the type, which is gone with the message.
        let without = error.clone().without_message();
        let typed = std::any::type_name::<Order>();
        assert_eq!(without.target(), error.target());
        assert_eq!(
            without.to_string(),
            error.to_string().replace(typed, "the message")
        );
        assert_eq!(error.into_message().is_some(), comes_back);
    }
}

#[test]
fn a_deadlock_names_the_actor_that_was_asked() {
    let (asker, asked) = (ActorId::new(0, 1, 1), ActorId::new(0, 2, 1));
    let error: AskError<()> = AskError::Deadlock {
        path: DeadlockPath(vec![asker, asked]),
        message: None,
    };
    assert_eq!(error.target(), asked);
    let oneself: AskError<()> = AskError::Deadlock {
        path: DeadlockPath(vec![asker]),
        message: None,
    };
    assert_eq!(oneself.target(), asker);
}

#[test]
fn an_error_keeps_its_words_and_its_message_when_it_is_mapped() {
    for (error, words) in send_errors() {
        let wrapped = error.clone().map(|order| (order, "wrapped"));
        assert_eq!(wrapped.to_string(), words);
        assert!(wrapped.map(|(order, _)| order) == error);
        let asked = AskError::from(error);
        let same = asked
            .clone()
            .map(|order| (order, 1))
            .map(|(order, _)| order);
        assert!(same == asked);
    }
}
