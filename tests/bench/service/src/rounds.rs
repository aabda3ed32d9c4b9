//! The rounds, and the table that they make.

use crate::control::{Control, Process};
use crate::load::load;
use crate::postgres::Postgres;
use crate::serve::{Given, Log};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Connections to the database: one for each request that is under way.
const CONNECTIONS: u32 = 8;

/// Runs that may fail and be done again, in all.
const REPEATED: u32 = 10;

pub(crate) struct Options {
    rounds: usize,
    requests: u64,
    only: String,
    store: String,
    log: Log,
    /// Requests a second; as many as the service answers otherwise.
    rate: Option<f64>,
}

impl Options {
    pub(crate) fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut options = Options {
            rounds: 15,
            requests: 6_000,
            only: String::new(),
            store: String::new(),
            log: Log::Lines,
            rate: None,
        };
        for pair in arguments.chunks(2) {
            let [name, value] = *pair else { anyhow::bail!("{} wants a value", pair[0]) };
            match (name, value) {
                ("--rounds", _) => options.rounds = value.parse()?,
                ("--requests", _) => options.requests = value.parse()?,
                ("--only", _) => value.clone_into(&mut options.only),
                ("--store", "postgres" | "memory") => value.clone_into(&mut options.store),
                ("--rate", _) => options.rate = Some(value.parse()?),
                ("--lines", "on") => options.log = Log::Lines,
                ("--lines", "off") => options.log = Log::Off,
                _ => anyhow::bail!(
                    "unknown option {name} {value}: --rounds N, --requests N, --only NAME, \
                     --store postgres|memory, --lines on|off, --rate N"
                ),
            }
        }
        anyhow::ensure!(options.rounds > 0 && options.requests > 0, "at least one of each");
        Ok(options)
    }
}

/// A service at a ratio of sampled traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    variant: &'static str,
    percent: u32,
}

const BARE: Case = Case { variant: "bare", percent: 0 };

const CASES: [Case; 6] = [
    Case { variant: "redspan", percent: 100 },
    Case { variant: "redspan", percent: 10 },
    Case { variant: "tracing", percent: 100 },
    Case { variant: "tracing", percent: 10 },
    Case { variant: "fastrace", percent: 100 },
    Case { variant: "fastrace", percent: 10 },
];

/// One service in one round.
#[derive(Clone, Copy)]
struct Run {
    /// Microseconds a request.
    cpu: f64,
    requests_per_second: f64,
    p50: f64,
    p99: f64,
    sampled: u64,
    received: u64,
}

struct Field {
    control: Control,
    receiver: Process,
    warehouse: SocketAddr,
    runtime: tokio::runtime::Runtime,
    started: u32,
    repeated: u32,
}

impl Field {
    /// One service in a fresh process. A machine that is busy with other things may let a request wait for a
    /// connection for longer than the shop does: then it is done again, and said.
    fn run(
        &mut self,
        case: Case,
        options: &Options,
        database: Option<String>,
    ) -> anyhow::Result<Run> {
        loop {
            match self.try_run(case, options, database.clone()) {
                Err(error) if self.repeated < REPEATED => {
                    self.repeated += 1;
                    eprintln!("\n{} once more: {error}", case.variant);
                }
                ran => return ran,
            }
        }
    }

    fn try_run(
        &mut self,
        case: Case,
        options: &Options,
        database: Option<String>,
    ) -> anyhow::Result<Run> {
        self.started += 1;
        let given = Given {
            variant: case.variant.to_owned(),
            name: format!("{}-{}", case.variant, self.started),
            control: self.control.address()?,
            receiver: format!("http://{}", self.receiver.address),
            warehouse: self.warehouse,
            database,
            connections: CONNECTIONS,
            ratio: f64::from(case.percent) / 100.0,
            first_order: i64::from(self.started) << 32,
            log: options.log,
        };
        let mut service =
            self.control.start("serve", &given.to_arguments(), &given.environment())?;
        let connections = CONNECTIONS as usize;
        // Connections are made, statements prepared, caches warm.
        self.runtime.block_on(load(
            service.address,
            options.requests / 4,
            connections,
            options.rate,
        ))?;
        let before = service.mark()?;
        let loaded = self.runtime.block_on(load(
            service.address,
            options.requests,
            connections,
            options.rate,
        ))?;
        let after = service.mark()?;
        drop(service);
        let cpu = (after.cpu - before.cpu).as_secs_f64() * 1e6 / options.requests as f64;
        Ok(Run {
            cpu,
            requests_per_second: loaded.requests_per_second(),
            p50: loaded.percentile(0.5),
            p99: loaded.percentile(0.99),
            sampled: after.sampled,
            received: self.receiver.received(&given.name)?,
        })
    }
}

/// The runs of all rounds, each with the bare one of its round.
type Runs = BTreeMap<Case, Vec<(Run, Run)>>;

pub(crate) fn table(options: Options) -> anyhow::Result<()> {
    let control = Control::open()?;
    let address = vec![control.address()?.to_string()];
    let receiver = control.start("receive", &address, &[])?;
    let warehouse = control.start("warehouse", &address, &[])?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = warehouse.address;
    let mut field =
        Field { control, receiver, warehouse: address, runtime, started: 0, repeated: 0 };
    let wants_postgres = options.store != "memory";
    let postgres = (wants_postgres && Postgres::is_there()).then(Postgres::start);
    let mut stores = Vec::new();
    if let Some(postgres) = &postgres {
        stores.push(("with PostgreSQL", Some(postgres.url())));
    }
    if options.store != "postgres" {
        stores.push(("without a database", None));
    }
    let cases: Vec<Case> =
        CASES.into_iter().filter(|case| case.variant.contains(&*options.only)).collect();
    let mut all: Vec<Runs> = stores.iter().map(|_| Runs::new()).collect();
    let mut loads = Vec::new();
    for round in 0..options.rounds {
        for ((store, database), runs) in stores.iter().zip(&mut all) {
            eprint!("\rround {}/{} {store:24}", round + 1, options.rounds);
            let first = field.run(BARE, &options, database.clone())?;
            let mut measured = Vec::new();
            for at in 0..cases.len() {
                let case = cases[(at + round) % cases.len()];
                measured.push((case, field.run(case, &options, database.clone())?));
                loads.push(load_average());
            }
            let again = field.run(BARE, &options, database.clone())?;
            runs.entry(BARE).or_default().push((again, first));
            // What the machine does meanwhile moves both: half of each.
            let bare = Run { cpu: (first.cpu + again.cpu) / 2.0, ..first };
            for (case, run) in measured {
                runs.entry(case).or_default().push((run, bare));
            }
        }
    }
    eprintln!("\r{:50}", "");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "CPU of the service's process, {} rounds of {} requests over {CONNECTIONS} connections, {cores} \
         cores, load average {} to {} (median {}), log lines {}, runs \
         repeated {}. Medians, quartiles in brackets.\n",
        options.rounds,
        options.requests,
        quartile(&loads, 0.0),
        quartile(&loads, 1.0),
        quartile(&loads, 0.5),
        if options.log == Log::Lines { "on" } else { "off" },
        field.repeated,
    );
    for ((store, _), runs) in stores.iter().zip(&all) {
        println!("**{store}**\n");
        println!(
            "| service | sampled | CPU µs a request | of bare | µs added | requests/s | p50 ms | p99 ms | \
             spans | lost |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for (case, runs) in runs {
            println!("{}", row(*case, runs));
        }
        println!();
    }
    Ok(())
}

fn row(case: Case, runs: &[(Run, Run)]) -> String {
    let each = |of: &dyn Fn(&(Run, Run)) -> f64| -> Vec<f64> { runs.iter().map(of).collect() };
    let median = |of: &dyn Fn(&(Run, Run)) -> f64| quartile(&each(of), 0.5);
    let ratios = each(&|(run, bare)| run.cpu / bare.cpu);
    let added = each(&|(run, bare)| run.cpu - bare.cpu);
    let total = |of: fn(&Run) -> u64| runs.iter().map(|(run, _)| of(run)).sum::<u64>();
    let (sampled, received) = (total(|run| run.sampled), total(|run| run.received));
    let is_bare = case == BARE;
    format!(
        "| {} | {} | {:.1} | {:.3} ({:.3}–{:.3}) | {:.1} ({:.1}–{:.1}) | {:.0} | {:.2} | {:.2} | {received} | {} |",
        if is_bare { "bare (again)" } else { case.variant },
        if is_bare { String::from("–") } else { format!("{} %", case.percent) },
        median(&|(run, _)| run.cpu),
        quartile(&ratios, 0.5),
        quartile(&ratios, 0.25),
        quartile(&ratios, 0.75),
        quartile(&added, 0.5),
        quartile(&added, 0.25),
        quartile(&added, 0.75),
        median(&|(run, _)| run.requests_per_second),
        median(&|(run, _)| run.p50),
        median(&|(run, _)| run.p99),
        sampled as i64 - received as i64,
    )
}

fn quartile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
