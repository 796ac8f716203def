//! An index over the runs of an output folder, so that thousands of them are listed and filtered at
//! once. The folders are the truth: the index holds nothing that is not in them, is made again from
//! them whenever it is missing, damaged or of another version, and may be deleted at any time.
//!
//! It is one SQLite file beside the runs, with a rollback journal: several processes may write at a
//! time, also over a network file system that has locks.

mod entry;
mod error;
mod filter;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, params, params_from_iter};

pub use entry::Entry;
pub use error::IndexError;
pub use filter::Filter;

use crate::run::{self, RunFolder};

/// File name of the index in an output folder.
pub const FILE: &str = "index.sqlite";

/// Of the tables; another number means another layout, and the index is made again.
const VERSION: i64 = 1;

/// How long a writer waits for others.
const PATIENCE: Duration = Duration::from_secs(60);

const TABLES: &str = "
    CREATE TABLE runs (
        folder TEXT PRIMARY KEY, method TEXT NOT NULL, arm TEXT NOT NULL, benchmark TEXT NOT NULL,
        memory TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, started TEXT,
        seconds REAL, view TEXT, scenario TEXT, accuracy REAL, forgetting REAL
    ) WITHOUT ROWID;
    CREATE INDEX by_benchmark ON runs (benchmark, memory, method);
    CREATE TABLE tags (
        folder TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (folder, tag)
    ) WITHOUT ROWID;
";

/// The index of one output folder.
pub struct Index {
    out: PathBuf,
    connection: Connection,
}

impl Index {
    /// Opens the index of an output folder, or makes it from the runs that are there. A damaged
    /// file is moved aside. Where the folder cannot be written the index is kept in memory.
    ///
    /// # Errors
    /// A folder that is not there or cannot be read.
    pub fn open(out: &Path) -> Result<Index, IndexError> {
        run::readable(out)?;
        match Index::open_file(out) {
            Err(IndexError::Sql { source, .. }) if is_damage(&source) => {
                let aside = out.join(format!("{FILE}.damaged"));
                tracing::warn!("{} is damaged: made again from the runs", out.join(FILE).display());
                std::fs::rename(out.join(FILE), aside)
                    .map_err(|source| IndexError::Aside { path: out.join(FILE), source })?;
                Index::open_file(out)
            }
            Err(IndexError::Sql { source, .. }) if cannot_write(&source) => {
                tracing::warn!("{} cannot be written: kept in memory", out.join(FILE).display());
                let connection = Connection::open_in_memory();
                Index::over(out, connection.map_err(IndexError::of(out))?)
            }
            answer => answer,
        }
    }

    fn open_file(out: &Path) -> Result<Index, IndexError> {
        let connection = Connection::open(out.join(FILE)).map_err(IndexError::of(out))?;
        Index::over(out, connection)
    }

    /// Makes the tables and fills them, unless somebody did.
    fn over(out: &Path, mut connection: Connection) -> Result<Index, IndexError> {
        let ready = |connection: &mut Connection| -> rusqlite::Result<()> {
            connection.busy_timeout(PATIENCE)?;
            // All of it is in the folders: losing the last write with the machine loses nothing.
            connection.pragma_update(None, "synchronous", "OFF")?;
            let transaction = begin(connection)?;
            let version: i64 =
                transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
            if version != VERSION {
                transaction
                    .execute_batch("DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS tags;")?;
                transaction.execute_batch(TABLES)?;
                fill(&transaction, out)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            transaction.commit()
        };
        ready(&mut connection).map_err(IndexError::of(out))?;
        Ok(Index { out: out.to_owned(), connection })
    }

    /// Makes the index again from the folders. Returns how many runs there are.
    pub fn rebuild(&mut self) -> Result<usize, IndexError> {
        run::readable(&self.out)?;
        let again = |connection: &mut Connection| {
            let transaction = begin(connection)?;
            transaction.execute_batch("DELETE FROM runs; DELETE FROM tags;")?;
            let runs = fill(&transaction, &self.out)?;
            transaction.commit().map(|()| runs)
        };
        again(&mut self.connection).map_err(IndexError::of(&self.out))
    }

    /// Takes in what the folders of these runs say now; those that are gone are taken out.
    pub fn update<'a>(
        &mut self,
        folders: impl IntoIterator<Item = &'a Path>,
    ) -> Result<(), IndexError> {
        let read = |folder: &'a Path| (folder, Entry::read(&self.out, folder));
        let entries: Vec<(&Path, Option<Entry>)> = folders.into_iter().map(read).collect();
        let out = self.out.clone();
        let write = |connection: &mut Connection| {
            let transaction = begin(connection)?;
            for (folder, entry) in &entries {
                let name = entry::name_below(&out, folder);
                for table in ["runs", "tags"] {
                    transaction
                        .execute(&format!("DELETE FROM {table} WHERE folder = ?1"), [&name])?;
                }
                entry.iter().try_for_each(|entry| insert(&transaction, entry))?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(IndexError::of(&self.out))
    }

    /// Reads runs again that had not come to an end when they were last looked at.
    pub fn refresh(&mut self) -> Result<(), IndexError> {
        let unfinished = Filter { status: Some("unfinished".into()), ..Filter::default() };
        let entries = self.list(&unfinished)?;
        let folders: Vec<PathBuf> = entries.iter().map(|e| self.out.join(&e.folder)).collect();
        match folders.is_empty() {
            true => Ok(()),
            false => self.update(folders.iter().map(PathBuf::as_path)),
        }
    }

    /// Runs that fit, by benchmark, memory, method, seed and folder.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Entry>, IndexError> {
        let (condition, values) = filter.condition();
        let text = format!(
            "SELECT runs.*, (SELECT group_concat(tag, ' ') FROM tags WHERE folder = runs.folder) \
             FROM runs WHERE {condition} ORDER BY benchmark, memory, method, arm, seed, folder"
        );
        let read = || {
            let mut statement = self.connection.prepare_cached(&text)?;
            let rows = statement.query_map(params_from_iter(&values), Entry::of_row)?;
            rows.collect::<rusqlite::Result<Vec<Entry>>>()
        };
        read().map_err(IndexError::of(&self.out))
    }

    /// The folder of a run as people name it: a path, or a path below the output folder.
    pub fn folder(&self, name: &Path) -> Result<RunFolder, IndexError> {
        let below = self.out.join(name);
        let path = if below.is_dir() { below } else { name.to_owned() };
        Ok(RunFolder::open(&path)?)
    }
}

fn begin(connection: &mut Connection) -> rusqlite::Result<rusqlite::Transaction<'_>> {
    // A writer that began as a reader could not wait for another one.
    connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
}

/// Puts in all runs that are there. Folders are looked for while others have to wait: a run that
/// one of them puts in meanwhile would be lost otherwise.
fn fill(transaction: &Connection, out: &Path) -> rusqlite::Result<usize> {
    // A folder that cannot be searched has no runs to list; `runs` says so before.
    let folders = run::find(out).unwrap_or_default();
    let entries = folders.iter().filter_map(|folder| Entry::read(out, folder));
    let mut runs = 0;
    for entry in entries {
        insert(transaction, &entry)?;
        runs += 1;
    }
    Ok(runs)
}

fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let text = "INSERT OR REPLACE INTO runs \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(text)?.execute(params![
        entry.folder,
        entry.method,
        entry.arm,
        entry.benchmark,
        entry.memory,
        entry::signed(entry.seed),
        entry.status,
        entry.started,
        entry.seconds,
        entry.view,
        entry.scenario,
        entry.accuracy,
        entry.forgetting,
    ])?;
    let mut tag = connection.prepare_cached("INSERT OR REPLACE INTO tags VALUES (?1, ?2)")?;
    entry.tags.iter().try_for_each(|name| tag.execute([&entry.folder, name]).map(drop))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn cannot_write(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
}

#[cfg(test)]
mod tests;
