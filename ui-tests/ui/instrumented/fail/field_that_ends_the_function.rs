use redspan::instrumented;

#[instrumented(fields(user = session.user()?))]
fn sync(session: &Session) -> Option<u8> {
    session.user()
}

#[instrumented(fields(user = { return None }, found = [1].iter().find(|n| **n == session.0?)))]
fn returns(session: &Session) -> Option<u8> {
    session.user()
}

struct Session(Option<u8>);

impl Session {
    fn user(&self) -> Option<u8> {
        self.0
    }
}

fn main() {
    let _ = (sync(&Session(None)), returns(&Session(None)));
}
