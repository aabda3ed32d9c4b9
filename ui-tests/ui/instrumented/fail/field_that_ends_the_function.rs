use redspan::instrumented;

#[instrumented(fields(user = session.user()?))]
fn sync(session: &Session) -> Option<u8> {
    session.user()
}

#[instrumented(fields(user = { return None }, found = [1].iter().find(|n| **n == session.0?)))]
fn returns(session: &Session) -> Option<u8> {
    session.user()
}

#[instrumented(fields(
    both = session.user()? == 1 || session.user()? == 2,
    bits = session.0.map(|bits| (bits | 1) | 1).is_some(),
    flags = 1 | session.user()?,
    named = match session.0 { Some(1 | 2) => session.user()?, _ => 0 },
))]
fn behind_an_or(session: &Session) -> Option<u8> {
    session.user()
}

struct Session(Option<u8>);

impl Session {
    fn user(&self) -> Option<u8> {
        self.0
    }
}

fn main() {
    let _ = (sync(&Session(None)), returns(&Session(None)), behind_an_or(&Session(None)));
}
