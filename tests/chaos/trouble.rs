//! What can go wrong between a service and its receiver.

use redspan_tests::{Behaviour, Fault, Front, Receiver};

/// Declares the troubles, and lists them, once.
macro_rules! troubles {
    ($($(#[$about:meta])+ $name:ident,)+) => {
        /// One of the things that go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Trouble {
            $($(#[$about])+ $name,)+
        }

        impl Trouble {
            /// All of them.
            pub(crate) fn all() -> Vec<Self> {
                vec![$(Trouble::$name),+]
            }
        }
    };
}

troubles! {
    /// Connections are refused.
    Refused,
    /// Connections are accepted, and nothing is ever answered.
    NeverAnswers,
    /// Answers come after thirty seconds.
    AnswersLate,
    /// The connection is reset in the middle of the body.
    ResetMidBody,
    /// Status 429 with a pause of a second.
    Throttled,
    /// Status 503.
    Unavailable,
    /// Status 400.
    BadRequest,
    /// A part of each batch is rejected.
    PartialSuccess,
    /// Bytes that mean nothing.
    Garbage,
    /// Answers of four megabytes.
    OversizedAnswer,
    /// A certificate of a strange authority.
    WrongAuthority,
    /// The receiver is gone, with all its connections, and comes back.
    KilledAndRestarted,
}

use Trouble::*;

impl Trouble {
    /// From here on it is there.
    pub(crate) fn begin(self, receiver: &mut Receiver, front: &Front) {
        match self {
            Refused => front.behave(Fault::Refused),
            NeverAnswers => front.behave(Fault::Silent),
            AnswersLate => front.behave(Fault::Late),
            ResetMidBody => front.behave(Fault::ResetMidBody),
            Garbage => front.behave(Fault::Garbage),
            WrongAuthority => front.behave(Fault::WrongAuthority),
            Throttled => receiver.behave(Behaviour::Throttle(1)),
            Unavailable => receiver.behave(Behaviour::Refuse(503)),
            BadRequest => receiver.behave(Behaviour::Refuse(400)),
            PartialSuccess => receiver.behave(Behaviour::TakeBut(10)),
            OversizedAnswer => receiver.behave(Behaviour::TakeAtLength),
            KilledAndRestarted => receiver.stop(),
        }
    }

    /// From here on all is well.
    pub(crate) fn end(self, receiver: &mut Receiver, front: &Front) {
        receiver.behave(Behaviour::Take);
        front.behave(Fault::None);
        if self == KilledAndRestarted {
            receiver.restart();
        }
    }
}
