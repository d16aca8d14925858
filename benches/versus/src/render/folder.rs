//! The files of a run, together in a folder: the JSON with everything, and what is made of it.

use super::{csv, html, markdown};
use crate::report::Report;
use std::fs;
use std::path::{Path, PathBuf};

/// Under the working directory, by date, machine and mode; an earlier run of the day is not written over.
pub fn default(report: &Report) -> PathBuf {
    free(&Path::new("target").join("versus"), &name(report))
}

/// As a folder of `docs/results` would be called, with the mode.
fn name(report: &Report) -> String {
    let machine = &report.machine;
    let day = machine.date.split(' ').next().unwrap_or_default();
    format!("{day}-{}-{}", machine.slug, machine.mode)
}

/// The name, or the name with a number, that is not taken yet.
fn free(under: &Path, name: &str) -> PathBuf {
    let numbered = |number: usize| under.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
    (1..).map(numbered).find(|path| !path.exists()).expect("there is always another number")
}

/// Writes all files, and says what they are called.
///
/// # Errors
///
/// The folder or a file cannot be written.
pub fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let json = serde_json::to_string(report).map_err(|e| e.to_string())? + "\n";
    let mut files = vec![put(folder, "report.json", &json)?];
    files.extend(write_derived(report, folder)?);
    Ok(files)
}

/// All but the JSON, which may be where the report has come from.
///
/// # Errors
///
/// The folder or a file cannot be written.
pub fn write_derived(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let files = [
        ("report.csv", csv::render(report)),
        ("report.md", markdown::render(report)),
        ("report.html", html::render(report)),
    ];
    files.iter().map(|(name, text)| put(folder, name, text)).collect()
}

fn put(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let complain = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(folder).map_err(complain)?;
    fs::write(&path, text).map_err(complain)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::headline::load;

    #[test]
    fn files_can_be_read_again_and_nothing_is_written_over() {
        let under = std::env::temp_dir().join(format!("versus-folder-{}", std::process::id()));
        let mut report = crate::render::tests::awkward();
        report.machine.warn_again(&report.sections);
        let first = free(&under, "run");
        let files = write(&report, &first).unwrap();
        assert_eq!(files.len(), 4);
        assert!(files.iter().all(|file| file.is_file()));
        assert_eq!(markdown::render(&load(&files[0]).unwrap()), markdown::render(&report));
        assert_eq!(free(&under, "run"), under.join("run-2"));
        assert!(write(&report, &files[0]).is_err(), "a file is no folder");
        fs::remove_dir_all(&under).unwrap();
    }

    #[test]
    fn a_folder_is_called_by_date_machine_and_mode() {
        let mut report = crate::render::tests::awkward();
        report.machine.slug = "epyc-2cpu".into();
        assert_eq!(name(&report), "2026-01-02-epyc-2cpu-full");
    }
}
