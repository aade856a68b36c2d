//! Fuzzes the engine without a nightly compiler: `fuzz TARGET --seconds N --corpus DIR [--seed N]`.
//!
//! Inputs come from the target's seeds and from `DIR/TARGET`, are mutated at random, and are kept when they reach code
//! that none before them reached or, in a build that does not count that, when their outcome is of a kind not seen before.
//! A panic, an input that takes longer than [`BUDGET`] and memory beyond [`MAX_MEMORY`] end the run with exit code 1 or an
//! abort; the input is then in `DIR/TARGET/.current`. The slowest input is in `DIR/TARGET/.slowest`.

mod coverage;
mod mutate;
mod source;
mod targets;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coverage::Coverage;
use rustix::time::{ClockId, clock_gettime};

use mutate::Mutator;
use targets::{TARGETS, Target};

/// How much time of a processor one input may take.
const BUDGET: Duration = Duration::from_secs(10);
/// How much memory the process may use, in bytes.
const MAX_MEMORY: usize = 3 << 30;
/// How many inputs a corpus may grow to.
const MAX_CORPUS: usize = 20_000;
/// Stack of the thread that runs inputs: what a thread of the daemon has.
const STACK: usize = 2 << 20;

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MAX_MEMORY);

struct Arguments {
    target: String,
    seconds: u64,
    corpus: PathBuf,
    seed: u64,
}

fn arguments() -> Result<Arguments, String> {
    let mut words = std::env::args().skip(1);
    let target = words.next().ok_or("a target is missing")?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let mut found = Arguments { target, seconds: 30, corpus: PathBuf::from("corpus"), seed: clock };
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{word} needs a number"));
        match word.as_str() {
            "--seconds" => found.seconds = number()?,
            "--seed" => found.seed = number()?,
            "--corpus" => found.corpus = PathBuf::from(&value),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!(
                "{problem}\nusage: fuzz TARGET --seconds N --corpus DIR [--seed N]\ntargets: {}",
                names.join(" ")
            );
            return ExitCode::from(2);
        }
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == arguments.target) else {
        eprintln!("unknown target {}; there are: {}", arguments.target, names.join(" "));
        return ExitCode::from(2);
    };
    match run(target, &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the corpus cannot be used: {error}");
            ExitCode::from(2)
        }
    }
}

/// Fuzzes until the time is over; false if an input failed.
fn run(target: &'static Target, arguments: &Arguments) -> std::io::Result<bool> {
    let folder = arguments.corpus.join(target.name);
    std::fs::create_dir_all(&folder)?;
    let mut corpus = target.seeds();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            corpus.push(std::fs::read(path)?);
        }
    }
    let started = watch(folder.join(".current"));
    let work = Work { target, folder, corpus, started, seed: arguments.seed, seconds: arguments.seconds };
    let worker = std::thread::Builder::new().stack_size(STACK).spawn(move || work.run())?;
    worker.join().unwrap_or(Ok(false))
}

/// Returns the time that this process has had of processors.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Ends the process when an input takes too long. The counter holds the number of the present input, 0 between inputs.
fn watch(current: PathBuf) -> Arc<AtomicU64> {
    let started = Arc::new(AtomicU64::new(0));
    let watched = started.clone();
    std::thread::spawn(move || {
        let mut age = Duration::ZERO;
        let mut last = 0;
        loop {
            std::thread::park_timeout(Duration::from_millis(200));
            let present = watched.load(Ordering::Relaxed);
            if present == 0 || present != last {
                (last, age) = (present, used());
            } else if used().saturating_sub(age) > BUDGET {
                eprintln!("an input took more than {} s: {}", BUDGET.as_secs(), current.display());
                std::process::exit(1);
            }
        }
    });
    started
}

struct Work {
    target: &'static Target,
    folder: PathBuf,
    corpus: Vec<Vec<u8>>,
    started: Arc<AtomicU64>,
    seed: u64,
    seconds: u64,
}

impl Work {
    fn run(mut self) -> std::io::Result<bool> {
        let clock = Instant::now();
        let mut mutator = Mutator::new(self.seed, self.target.words);
        let (mut seen, mut coverage) = (HashSet::new(), Coverage::new());
        let (mut runs, mut slowest) = (0_usize, Duration::ZERO);
        let first = self.corpus.len();
        // Written in place: a file that is made anew each time is flushed each time.
        let current = std::fs::File::create(self.path(".current"))?;
        // What ran before the first input is none of its coverage.
        coverage.take();
        while clock.elapsed().as_secs() < self.seconds || runs < first {
            let input = match self.corpus.get(runs) {
                Some(input) if runs < first => input.clone(),
                _ => mutator.mutate(&self.corpus),
            };
            runs += 1;
            current.write_all_at(&input, 0)?;
            current.set_len(input.len() as u64)?;
            self.started.store(runs as u64, Ordering::Relaxed);
            let start = used();
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input)));
            let took = used().saturating_sub(start);
            self.started.store(0, Ordering::Relaxed);
            if took > slowest {
                slowest = took;
                std::fs::write(self.path(".slowest"), &input)?;
            }
            let Ok(outcome) = outcome else {
                let name = format!("crash-{:016x}", hash(&input));
                std::fs::write(self.path(&name), &input)?;
                let (target, path) = (self.target.name, self.path(&name));
                eprintln!("{target}: seed {}: an input panicked: {}", self.seed, path.display());
                return Ok(false);
            };
            let is_new = if coverage.counts() { coverage.take() } else { seen.insert(kind(&outcome)) };
            if is_new && self.corpus.len() < MAX_CORPUS && runs > first {
                std::fs::write(self.path(&format!("{:016x}", hash(&input))), &input)?;
                self.corpus.push(input);
            }
        }
        std::fs::remove_file(self.path(".current"))?;
        println!(
            "{}: {runs} inputs ({first} of the corpus), {} kept, {} edges, slowest {} ms, {} MiB at most, {} s of a processor, seed {}",
            self.target.name,
            self.corpus.len() - first,
            coverage.edges(),
            slowest.as_millis(),
            ALLOCATOR.max_allocated() >> 20,
            used().as_secs(),
            self.seed
        );
        Ok(true)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The kind of an outcome: its text without what is likely taken from the input.
fn kind(outcome: &str) -> u64 {
    let words = outcome.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 3);
    hash(words.take(12).collect::<Vec<_>>())
}
