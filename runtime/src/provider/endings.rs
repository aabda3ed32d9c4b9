//! Ends that are not the end of `main`: signals, panics that abort, and `process::exit`.

use super::builder::Builder;
use super::guard::Core;
use crate::config::preset::Preset;
use crate::quiet;
use std::panic;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long the last flush may take.
const AT_THE_END: Duration = Duration::from_secs(5);

/// Which of them the program wants to be looked after.
#[derive(Default)]
pub(super) struct Endings {
    /// What the program says of signals, which beats a preset.
    on_signal: Option<bool>,
    on_panic: bool,
}

impl Builder {
    /// On SIGTERM and SIGINT everything is flushed, within five seconds, before the signal ends the
    /// process as it would have without redspan. Unix only; elsewhere nothing happens.
    ///
    /// It is for programs that do not handle these signals. One that does (`tokio::signal`,
    /// graceful shutdown) flushes by dropping the guard at the end of `main`, and must not ask for
    /// this: the process would end in the middle of its own handling. Where a preset asks for it,
    /// [`leave_signals`](Self::leave_signals) says no.
    pub fn flush_on_signal(mut self) -> Self {
        self.endings.on_signal = Some(true);
        self
    }

    /// Leaves SIGTERM and SIGINT to the program, also where [`Preset::Production`] looks after them: for one that shuts
    /// down gracefully and drops the guard at the end of `main`.
    ///
    /// ```no_run
    /// use redspan::Preset;
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder().preset(Preset::Production).leave_signals().install()?;
    /// # Ok(()) }
    /// ```
    pub fn leave_signals(mut self) -> Self {
        self.endings.on_signal = Some(false);
        self
    }

    /// On each panic everything is flushed, within five seconds, after the panic's message has been
    /// printed. Where panics abort the process (`panic = "abort"`) this is always so; otherwise it is
    /// for programs whose panic hook ends the process.
    pub fn flush_on_panic(mut self) -> Self {
        self.endings.on_panic = true;
        self
    }
}

impl Endings {
    /// Looks after what was asked for; says so. `core` must outlive nothing: whoever drops the guard
    /// has flushed.
    pub(super) fn install(
        &self,
        core: &Arc<Core>,
        preset: Option<Preset>,
    ) -> Option<std::io::Error> {
        if self.on_panic || cfg!(panic = "abort") {
            on_panic(Arc::downgrade(core));
        }
        #[cfg(unix)]
        at_exit::write_lines(&core.logs);
        let on_signal_too = self.on_signal.unwrap_or(preset == Some(Preset::Production));
        if on_signal_too { on_signal(Arc::downgrade(core)).err() } else { None }
    }
}

fn on_panic(core: Weak<Core>) {
    let before = panic::take_hook();
    let aborts = cfg!(panic = "abort");
    panic::set_hook(Box::new(move |info| {
        before(info);
        // A thread of ours may hold what the flush waits for.
        if let Some(core) = core.upgrade().filter(|_| !quiet::is_here()) {
            match aborts {
                true => core.shutdown(AT_THE_END),
                false => core.flush(AT_THE_END),
            };
        }
    }));
}

#[cfg(unix)]
fn on_signal(core: Weak<Core>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("redspan-signals".into()).spawn(move || {
        let _quiet = quiet::settle();
        for signal in signals.forever() {
            if let Some(core) = core.upgrade() {
                core.shutdown(AT_THE_END);
            }
            // It ends the process, so that whoever waits for it sees by which signal.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// A program that cannot go on says why and calls `process::exit`, which drops no guard and waits for no
/// thread: without this its last line, the one that matters, would be lost.
#[cfg(unix)]
mod at_exit {
    use crate::log::LogHandle;
    use crate::quiet;
    use std::ffi::c_int;
    use std::process;
    use std::sync::OnceLock;
    use std::time::Duration;

    /// How long the process waits at most, and only if lines are not written yet.
    const FOR_LINES: Duration = Duration::from_millis(250);

    /// Whose lines, and which process has the thread that writes them: a fork's child has not, and a lock
    /// that was held in the parent stays locked in it.
    static LINES: OnceLock<(u32, LogHandle)> = OnceLock::new();

    unsafe extern "C" {
        safe fn atexit(function: extern "C" fn()) -> c_int;
    }

    extern "C" fn flush() {
        if let Some((process, lines)) = LINES.get()
            && *process == process::id()
            && !quiet::is_here()
        {
            lines.flush(FOR_LINES);
        }
    }

    pub(super) fn write_lines(lines: &LogHandle) {
        // Refused for want of memory only; it is then as without it.
        if LINES.set((process::id(), lines.clone())).is_ok() {
            atexit(flush);
        }
    }
}

#[cfg(not(unix))]
fn on_signal(_: Weak<Core>) -> std::io::Result<()> {
    Ok(())
}
