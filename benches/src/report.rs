//! The table and the plot.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;

use crate::measure::Samples;

/// A line of the table.
pub struct Row {
    what: String,
    ours: String,
    theirs: String,
    ratio: Option<Samples>,
    goal: String,
    met: Option<bool>,
    note: String,
}

impl Row {
    /// Creates a row of rates, where more is better. The goal is the ratio to the baseline.
    pub fn rates(
        what: &str,
        unit: &str,
        ours: &Samples,
        theirs: Option<&Samples>,
        goal: Option<f64>,
        note: String,
    ) -> Row {
        let ratio = theirs.map(|theirs| theirs.speed_up_over(ours));
        Row::compared(what, unit, ours, theirs, ratio, goal, note)
    }

    /// Creates a row of times, where less is better. The goal is the speed-up over the baseline.
    pub fn times(what: &str, unit: &str, ours: &Samples, theirs: &Samples, goal: Option<f64>, note: String) -> Row {
        Row::compared(what, unit, ours, Some(theirs), Some(ours.speed_up_over(theirs)), goal, note)
    }

    /// Creates a row of times without a baseline. The goal is the maximum of the median.
    pub fn time(what: &str, unit: &str, ours: &Samples, goal: Option<f64>, note: String) -> Row {
        let met = goal.map(|goal| ours.median() <= goal);
        let goal = goal.map_or(String::new(), |goal| format!("≤ {goal} {unit}"));
        Row { what: what.into(), ours: spread(ours, unit), theirs: "-".into(), ratio: None, goal, met, note }
    }

    /// Creates a row with the number of good results. The goal is the minimum.
    pub fn count(what: &str, good: usize, of: usize, goal: usize, note: String) -> Row {
        let (ours, met) = (format!("{good} of {of}"), Some(good >= goal));
        Row { what: what.into(), ours, theirs: "-".into(), ratio: None, goal: format!("≥ {goal}"), met, note }
    }

    fn compared(
        what: &str,
        unit: &str,
        ours: &Samples,
        theirs: Option<&Samples>,
        ratio: Option<Samples>,
        goal: Option<f64>,
        note: String,
    ) -> Row {
        let met = goal.and_then(|goal| Some(ratio.as_ref()?.median() >= goal));
        Row {
            what: what.into(),
            ours: spread(ours, unit),
            theirs: theirs.map_or("-".into(), |theirs| spread(theirs, unit)),
            ratio,
            goal: goal.map_or(String::new(), |goal| format!("≥ {goal}")),
            met,
            note,
        }
    }
}

/// Formats the median with the range.
fn spread(samples: &Samples, unit: &str) -> String {
    let (least, most) = samples.range();
    format!("{} {unit} ({}–{})", figure(samples.median()), figure(least), figure(most))
}

fn figure(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All measurements.
pub struct Report {
    machine: String,
    rounds: usize,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(machine: String, rounds: usize) -> Report {
        Report { machine, rounds, rows: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    fn table(&self) -> String {
        let mut table = format!("{}; {} rounds, medians and ranges\n\n", self.machine, self.rounds);
        table.push_str("| line | Handover | baseline | ratio | goal | |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let ratio = row.ratio.as_ref().map_or("-".into(), |ratio| spread(ratio, "×"));
            let met = row.met.map_or("", |met| if met { "met" } else { "missed" });
            let _ = writeln!(
                table,
                "| {} | {} | {} | {ratio} | {} {met} | {} |",
                row.what, row.ours, row.theirs, row.goal, row.note
            );
        }
        table
    }

    /// Prints the table, and writes it with the plot into a folder.
    pub fn write(&self, folder: PathBuf) -> Result<()> {
        std::fs::create_dir_all(&folder)?;
        let table = self.table();
        println!("{table}");
        std::fs::write(folder.join("table.md"), &table)?;
        std::fs::write(folder.join("ratios.svg"), self.plot())?;
        println!("written to {}", folder.display());
        Ok(())
    }

    /// Plots each ratio as a point, with a bar at the median. To the right of the line at 1, Handover is faster.
    fn plot(&self) -> String {
        let rows: Vec<(&Row, &Samples)> = self.rows.iter().filter_map(|row| Some((row, row.ratio.as_ref()?))).collect();
        let most = rows.iter().map(|(_, ratio)| ratio.range().1).fold(2.0, f64::max);
        let (left, width, step) = (330.0, 500.0, 34.0);
        let x = |ratio: f64| left + ratio / most * width;
        let height = step * rows.len() as f64 + 50.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
             <line x1=\"{one}\" x2=\"{one}\" y1=\"10\" y2=\"{bottom}\" stroke=\"gray\" stroke-dasharray=\"4\"/>\
             <text x=\"{one}\" y=\"{label}\" text-anchor=\"middle\">as fast as the baseline</text>",
            one = x(1.0),
            bottom = height - 30.0,
            label = height - 12.0,
        );
        for (place, (row, ratio)) in rows.iter().enumerate() {
            let y = 25.0 + step * place as f64;
            let _ =
                write!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", left - 10.0, y + 4.0, row.what);
            for point in &ratio.0 {
                let _ = write!(
                    svg,
                    "<circle cx=\"{}\" cy=\"{y}\" r=\"4\" fill=\"steelblue\" fill-opacity=\"0.6\"/>",
                    x(*point)
                );
            }
            let median = x(ratio.median());
            let _ = write!(
                svg,
                "<line x1=\"{median}\" x2=\"{median}\" y1=\"{}\" y2=\"{}\" stroke=\"black\" stroke-width=\"2\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                y - 9.0,
                y + 9.0,
                x(ratio.range().1) + 8.0,
                y + 4.0,
                figure(ratio.median())
            );
        }
        svg + "</svg>\n"
    }
}
