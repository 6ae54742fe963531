//! What is printed: tables of figures, and at the end what they mean.

use std::fs;

use crate::rounds::Samples;

/// What a figure must be.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {limit}{unit}"),
            Self::AtLeast(limit) => format!("≥ {limit}{unit}"),
        }
    }
}

/// One line of the last table.
pub struct Judgement {
    what: String,
    measured: f64,
    unit: &'static str,
    must: Option<Bound>,
    goal: Option<Bound>,
}

impl Judgement {
    /// `unit` stands right behind the number, so it begins with a space.
    pub fn new(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            must: None,
            goal: None,
        }
    }

    /// The bar that a release has to clear.
    pub fn must(mut self, bound: Bound) -> Self {
        self.must = Some(bound);
        self
    }

    /// What the floors allow.
    pub fn goal(mut self, bound: Bound) -> Self {
        self.goal = Some(bound);
        self
    }

    fn verdict(&self) -> &'static str {
        let meets = |bound: Option<Bound>| bound.is_none_or(|bound| bound.is_met(self.measured));
        match (meets(self.must), meets(self.goal)) {
            (false, _) => "MISSED",
            (true, true) if self.goal.is_some() => "goal",
            (true, _) if self.must.is_some() => "must",
            (true, _) => "goal missed",
        }
    }
}

/// One line of a table of cases.
pub struct Line {
    pub name: String,
    pub figure: Samples,
    /// The figure of the service over this one.
    pub ratio: Option<Samples>,
}

/// Prints the machine, what is measured, and how often.
pub fn preamble(subject: &str, rounds: usize, quick: bool) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let priority = rustix::process::getpriority_process(None).unwrap_or(0);
    let load = load.split(' ').next().unwrap_or_default();
    println!(
        "{} CPUs ({}), Linux {}, load {load}, nice {priority}",
        cpus,
        cpu_model(),
        release.trim()
    );
    let remark = if quick {
        ", QUICK: figures mean little"
    } else {
        ""
    };
    println!("{subject}; {rounds} rounds{remark}");
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(": "));
    model.map_or("unknown", |(_, model)| model).to_owned()
}

/// Prints cases, one a line.
pub fn table(title: &str, unit: &str, lines: &[Line]) {
    println!("\n{title}");
    println!("{:<42} {unit:>26} {:>22}", "", "globstash is");
    for line in lines {
        let ratio = line
            .ratio
            .as_ref()
            .map_or(String::new(), |ratio| format!("{} ×", spread(ratio, 2)));
        println!(
            "{:<42} {:>26} {ratio:>22}",
            line.name,
            spread(&line.figure, decimals(&line.figure))
        );
    }
}

/// `median (min–max)`.
pub fn spread(samples: &Samples, decimals: usize) -> String {
    let (median, min, max) = (samples.median(), samples.min(), samples.max());
    format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
}

/// About three digits.
fn decimals(samples: &Samples) -> usize {
    match samples.median() {
        median if median < 10.0 => 2,
        median if median < 100.0 => 1,
        _ => 0,
    }
}

/// Prints what must and should be, and what is.
pub fn verdicts(judgements: &[Judgement]) {
    if judgements.is_empty() {
        return;
    }
    println!("\n## verdicts");
    println!(
        "{:<52} {:>12} {:>12} {:>12}  verdict",
        "", "must", "goal", "measured"
    );
    for judgement in judgements {
        let bound = |bound: Option<Bound>| {
            bound.map_or("–".to_owned(), |bound| bound.text(judgement.unit))
        };
        let measured = match judgement.measured {
            whole if whole.fract() == 0.0 => format!("{whole}{}", judgement.unit),
            large if large >= 100.0 => format!("{large:.0}{}", judgement.unit),
            small => format!("{small:.2}{}", judgement.unit),
        };
        println!(
            "{:<52} {:>12} {:>12} {measured:>12}  {}",
            judgement.what,
            bound(judgement.must),
            bound(judgement.goal),
            judgement.verdict()
        );
    }
}
