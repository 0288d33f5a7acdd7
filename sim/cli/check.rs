//! Commands that read scenarios and run nothing: `check`, `list`, `schema`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::scenario;

use super::Exit;

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Scenario files or folders; folders are searched with all below them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print the merged scenario with the origin of each value.
    #[arg(long)]
    effective: bool,
    /// Lay this key over the file, as `service.shop.acks=1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    #[default]
    Human,
    /// One line for each problem.
    Short,
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

pub fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let files = scenario_files(&arguments.paths)?;
    let mut exit = Exit::Holds;
    let mut fine = 0;
    for file in &files {
        match scenario::load(file, &arguments.sets) {
            Ok(family) => {
                fine += 1;
                if arguments.effective {
                    match scenario::effective(file, &arguments.sets) {
                        Ok(text) => outln!("{text}"),
                        Err(problems) => print_problems(&problems, arguments.format),
                    }
                }
                if !family.warnings.is_empty() {
                    print_problems(&family.warnings, arguments.format);
                }
            }
            Err(problems) => {
                print_problems(&problems, arguments.format);
                exit = Exit::Usage;
            }
        }
    }
    if arguments.format == CheckFormat::Human {
        anstream::eprintln!("{fine} of {} scenario files are valid", files.len());
    }
    Ok(exit)
}

fn print_problems(problems: &scenario::Diagnostics, format: CheckFormat) {
    match format {
        CheckFormat::Human => anstream::eprintln!("{}", problems.render(true)),
        CheckFormat::Short => outln!("{}", problems.short()),
        CheckFormat::Json => outln!("{}", problems.json()),
        CheckFormat::Github => outln!("{}", problems.github()),
    }
}

pub fn list(paths: &[PathBuf]) -> anyhow::Result<Exit> {
    let mut exit = Exit::Holds;
    for file in scenario_files(paths)? {
        match scenario::load(&file, &[]) {
            Ok(family) => {
                let (cells, seeds) = (family.cells.len(), family.seeds.end - family.seeds.start);
                outln!("{}  {cells} cells x {seeds} seeds  {}", file.display(), family.rows.join(" "));
                outln!("    {}", family.about);
                for cell in family.cells.iter().filter(|cell| !cell.id.is_empty()) {
                    outln!("    - {}", cell.id);
                }
            }
            Err(problems) => {
                anstream::eprintln!("{}", problems.short());
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

pub fn schema() -> anyhow::Result<Exit> {
    let text = serde_json::to_string_pretty(&scenario::schema()).context("failed to write the schema")?;
    outln!("{text}");
    Ok(Exit::Holds)
}

/// Every `*.toml` among the paths, in the order of their names.
pub fn scenario_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        bail!(
            "no scenario file in {}",
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}
