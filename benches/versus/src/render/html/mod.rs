//! The report as one page that needs nothing else: no script, no other file, no network; for light and dark rooms, for
//! screens and phones.
//!
//! The plots are SVG written by hand, with places across in percent, so that they are as wide as there is room while
//! their letters stay as large as the text. One colour stands for phalanx, and everyone else is grey: what a reader wants
//! to know is where phalanx is among the others, and the names are beside the marks instead of in a legend.

mod axis;
mod bars;
mod chart;

use super::{Claim, Sure, headline, markdown, outcome, tally};
use crate::report::{Outcome, Report, Row, Section, Table};
use std::fmt::{self, Display, Formatter, Write};

const STYLE: &str = include_str!("style.css");

pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("a String takes everything");
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let machine = &report.machine;
    let title = "phalanx against the others";
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>{title}</title><style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
    )?;
    writeln!(
        out,
        "<p class=\"soft\">{}, {}; {}; commit {}; a {} run</p>",
        Escaped(&machine.cpu),
        Escaped(&machine.kernel),
        Escaped(&machine.date),
        Escaped(&machine.commit),
        Escaped(&machine.mode)
    )?;
    if !machine.warnings.is_empty() {
        writeln!(out, "<div class=\"warnings\"><strong>Warnings</strong>{}</div>", list(&machine.warnings))?;
    }
    write!(out, "<nav>")?;
    for section in &report.sections {
        write!(out, "<a href=\"#{0}\">{0}</a> ", Escaped(&section.shape))?;
    }
    writeln!(out, "<a href=\"#machine\">machine</a> <a href=\"#method\">method</a></nav>")?;
    writeln!(out, "<h2>The headline</h2>\n<div class=\"headline\">\n{}\n</div>", grid(&headline::table(report)))?;
    writeln!(
        out,
        "<p class=\"soft\">Ratios above 1: phalanx is faster. The tables are the same in each run, and of each shape there is the one in which a rival comes closest.</p>"
    )?;
    writeln!(out, "<p><strong>{}</strong></p>", tally(report))?;
    let missed: Vec<String> = markdown::missed(report).collect();
    if !missed.is_empty() {
        writeln!(out, "<details><summary>The targets that were missed</summary>{}</details>", list(&missed))?;
    }
    if let Some(curves) = chart::by_parties(report) {
        writeln!(out, "<h3>Latency by parties</h3>\n{curves}")?;
    }
    writeln!(out, "<p class=\"soft\">{}</p>", Escaped(bars::READING))?;
    for section in &report.sections {
        write_section(out, section)?;
    }
    write_skipped(out, report)?;
    writeln!(out, "<h2 id=\"machine\">The machine</h2>\n<dl>")?;
    for (key, value) in machine.lines() {
        writeln!(out, "<dt>{}</dt><dd>{}</dd>", Escaped(key), Escaped(value))?;
    }
    writeln!(out, "</dl>\n<h2 id=\"method\">The method</h2>\n<p>{}</p>", prose(markdown::READING))?;
    writeln!(out, "</body></html>")
}

fn write_section(out: &mut String, section: &Section) -> fmt::Result {
    writeln!(out, "<h2 id=\"{}\">{}</h2>", Escaped(&section.shape), Escaped(&section.title))?;
    writeln!(out, "<p>{}</p>", prose(&section.method))?;
    for wrong in &section.wrong {
        writeln!(out, "<p class=\"wrong\">Wrong result: {}</p>", Escaped(wrong))?;
    }
    for table in &section.tables {
        write_table(out, table)?;
    }
    out.push_str(&chart::burnt(section).unwrap_or_default());
    if !section.verdicts.is_empty() {
        write!(
            out,
            "<h3>Targets</h3><div class=\"scroll\"><table><thead><tr><th>target</th><th class=\"r\">measured</th><th></th></tr></thead><tbody>"
        )?;
        for verdict in &section.verdicts {
            let measured = verdict.measured.as_ref().map(|is| Sure(is).to_string()).unwrap_or_default();
            let class = if verdict.outcome == Outcome::Miss { " class=\"miss\"" } else { "" };
            writeln!(
                out,
                "<tr><td>{}</td><td class=\"r\">{measured}</td><td{class}>{}</td></tr>",
                Escaped(&Claim(verdict).to_string()),
                outcome(verdict)
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    let mut notes = section.notes.clone();
    notes.push(format!("took {:.1} s", section.seconds));
    writeln!(out, "<div class=\"soft\">{}</div>", list(&notes))
}

fn write_table(out: &mut String, table: &Table) -> fmt::Result {
    let Some((head, rows)) = markdown::cells(table) else { return Ok(()) };
    writeln!(out, "<h3>{}</h3>\n{}", Escaped(&table.title), bars::pictures(table))?;
    write!(out, "<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr>")?;
    for (column, cell) in head.iter().enumerate() {
        write!(out, "<th{}>{}</th>", right(column), Escaped(cell))?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for (row, cells) in table.rows.iter().zip(rows) {
        write!(out, "<tr{}>", if row.role == "subject" { " class=\"subject\"" } else { "" })?;
        for (column, cell) in cells.iter().enumerate() {
            write!(out, "<td{}>{}</td>", right(column), Escaped(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div></details>")
}

fn write_skipped(out: &mut String, report: &Report) -> fmt::Result {
    let of = |section: &Section| {
        let named: Vec<String> = section.absent.iter().map(|why| format!("{}: {why}", section.shape)).collect();
        named
    };
    let all: Vec<String> = report.sections.iter().flat_map(of).collect();
    let text = if all.is_empty() { "<p>Nobody: every peer was at hand.</p>".into() } else { list(&all) };
    writeln!(out, "<h2 id=\"skipped\">Skipped</h2>\n{text}")
}

/// A table of Markdown, as one of HTML.
fn grid(markdown: &str) -> String {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        // A bar that belongs to a cell is escaped.
        let cells = inner.replace(r"\|", "\u{0}");
        cells.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    let row = |tag: &str, line: &str| {
        let cell = |(column, cell): (usize, &String)| format!("<{tag}{}>{}</{tag}>", right(column), Escaped(cell));
        format!("<tr>{}</tr>", cells(line).iter().enumerate().map(cell).collect::<String>())
    };
    let mut lines = markdown.lines();
    let head = lines.next().map(|line| row("th", line)).unwrap_or_default();
    let body: String = lines.skip(1).map(|line| row("td", line)).collect();
    format!("<div class=\"scroll\"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>")
}

fn right(column: usize) -> &'static str {
    if column == 0 { "" } else { " class=\"r\"" }
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>", prose(item))).collect();
    format!("<ul>{items}</ul>")
}

/// What a row is in a picture, as an attribute.
fn class(row: &Row) -> &'static str {
    match &*row.role {
        _ if chart::is_gomp(row) => " class=\"gomp\"",
        "subject" => " class=\"subject\"",
        "floor" => " class=\"floors\"",
        _ => "",
    }
}

/// Text with the little Markdown that notes have: bold, italics and code.
fn prose(text: &str) -> String {
    let marks = [("**", "strong"), ("*", "em"), ("`", "code")];
    marks.iter().fold(Escaped(text).to_string(), |text, (mark, tag)| {
        let parts: Vec<&str> = text.split(mark).collect();
        // Without a partner, a mark is what it is.
        if parts.len().is_multiple_of(2) {
            return text;
        }
        let part = |(index, part): (usize, &&str)| {
            if index % 2 == 1 { format!("<{tag}>{part}</{tag}>") } else { (*part).to_owned() }
        };
        parts.iter().enumerate().map(part).collect()
    })
}

/// Text that is no markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::awkward;

    /// Every element that begins ends, in order, and every attribute is in quotes.
    fn well_formed(html: &str) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = html.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
        while let Some((text, after)) = rest.split_once('<') {
            if text.contains('>') && open.last() != Some(&"style") {
                return Err(format!("a bare > in {text:?}"));
            }
            let (tag, after) = after.split_once('>').ok_or("a tag without an end")?;
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return Err(format!("</{name}> where {open:?} is open"));
                }
                continue;
            }
            if tag.matches('"').count() % 2 == 1 || tag.contains('<') {
                return Err(format!("quotes of <{tag}>"));
            }
            if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().ok_or("a tag without a name")?);
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
    }

    #[test]
    fn the_checker_sees_what_is_not_well_formed() {
        for bad in ["<p>", "<p><b></p></b>", "<p class=\"x></p>", "a > b<p></p>", "</p>"] {
            assert!(well_formed(&format!("<!DOCTYPE html>{bad}")).is_err(), "{bad}");
        }
        assert_eq!(well_formed("<!DOCTYPE html><p>1<br/></p>"), Ok(()));
    }

    #[test]
    fn a_page_is_well_formed_and_needs_nothing_else() {
        let html = render(&awkward());
        assert_eq!(well_formed(&html), Ok(()));
        assert!(
            html.contains("Two &lt;parties&gt;") && html.contains("saw &lt;2&gt;") && html.contains("&lt;angles&gt;")
        );
        assert!(!html.contains("NaN") && !html.contains("inf%"), "{html}");
        for foreign in ["http", "<script", "src=", "url(", "@import"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.contains("<strong>Too noisy: do not cite.</strong>"));
    }

    #[test]
    fn a_report_of_nothing_is_a_page_as_well() {
        let report = Report { machine: crate::machine::Machine::default(), sections: Vec::new() };
        assert_eq!(well_formed(&render(&report)), Ok(()));
    }

    #[test]
    fn marks_without_a_partner_stay() {
        assert_eq!(prose("2 * 3"), "2 * 3");
        assert_eq!(prose("*a* and `b` **c**"), "<em>a</em> and <code>b</code> <strong>c</strong>");
    }
}
