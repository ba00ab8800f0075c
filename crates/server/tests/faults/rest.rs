//! What must hold of what is stored, looked at while no server runs.

use crate::program::{PATIENCE, Program};
use db::{Db, Row};
use runs::life;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// The server leaves a file alone that no row names, until it is this old: it may be about to get its row.
const GRACE: Duration = Duration::from_secs(3600);

/// Every object that a row may name, as a subquery.
const NAMED: &str = "SELECT blob_id AS id FROM configuration_versions UNION SELECT blob_id FROM state_versions
    UNION SELECT json_blob_id FROM state_versions
    UNION SELECT log_id FROM deleted_run_data UNION SELECT json_id FROM deleted_run_data
    UNION SELECT redacted_id FROM deleted_run_data
    UNION SELECT plan_log_id FROM runs UNION SELECT plan_json_id FROM runs UNION SELECT plan_redacted_id FROM runs
    UNION SELECT kept_id FROM runs UNION SELECT apply_log_id FROM runs UNION SELECT snapshot_id FROM runs";

/// What is stored agrees with itself. Returns how many files there are that no row names.
pub(crate) fn agrees_with_itself(program: &Program) -> usize {
    with_database(program, async |db| {
        events_lead_to_rows(db).await;
        no_two_current_runs(db).await;
        no_lock_of_an_ended_run(db).await;
        let files = files(&program.data_dir().join("objects"));
        let filed = rows_have_objects(db, &files).await;
        let orphans: Vec<_> = files.iter().filter(|(id, _)| !filed.contains(*id)).collect();
        for (id, age) in &orphans {
            assert!(**age < GRACE, "no row names the object {id}, which is {age:?} old");
        }
        orphans.len()
    })
}

/// Gives every object an age beyond the grace, starts the server, and waits until what nobody needs is gone: files that no
/// row names, half-written ones, and work directories. What rows name must still be there.
pub(crate) fn comes_clean(program: &mut Program) {
    let data = program.data_dir();
    let old = SystemTime::now() - 2 * GRACE;
    for path in paths(&data.join("objects")) {
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    program.start();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let orphans = with_database(program, async |db| {
            let files = files(&data.join("objects"));
            let filed = rows_have_objects(db, &files).await;
            files.keys().filter(|id| !filed.contains(*id)).count()
        });
        let half_written = fs::read_dir(data.join("objects/tmp")).unwrap().count();
        let work = fs::read_dir(data.join("runs")).unwrap().count();
        if orphans + half_written + work == 0 {
            break;
        }
        let left =
            format!("{orphans} objects without a row, {half_written} half-written, {work} work directories");
        assert!(Instant::now() < deadline, "left behind: {left}");
        std::thread::sleep(Duration::from_millis(50));
    }
    program.terminate();
}

fn with_database<T>(program: &Program, look: impl AsyncFnOnce(&Db) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = match program.database() {
            Some(url) => Db::postgres(url, 2).await.unwrap(),
            None => Db::sqlite(&program.data_dir().join("ferroform.db"), 1).await.unwrap(),
        };
        let found = look(&db).await;
        db.close().await;
        found
    })
}

/// Waits until PostgreSQL has noticed that the killed server's connections are gone: until then it may still carry out
/// what it was last asked for.
pub(crate) fn nobody_is_connected(program: &Program) {
    let Some(url) = program.database() else { return };
    let name = url.rsplit_once('/').unwrap().1;
    with_database(program, async |db| {
        let sql = format!(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        let deadline = Instant::now() + PATIENCE;
        while all::<(i64,)>(db, &sql).await[0].0 > 0 {
            assert!(Instant::now() < deadline, "PostgreSQL keeps the connections of a server that is gone");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

async fn all<T: Row>(db: &Db, sql: &str) -> Vec<T> {
    db.all(db::AssertSqlSafe(sql.to_owned()), vec![]).await.unwrap()
}

async fn events_lead_to_rows(db: &Db) {
    let mut events: BTreeMap<String, Vec<(life::Event, kernel::Timestamp)>> = BTreeMap::new();
    let sql =
        "SELECT run_id, event, created_at FROM run_events WHERE event <> 'null' ORDER BY run_id, number";
    for (run, event, at) in all::<(String, String, i64)>(db, sql).await {
        let event = serde_json::from_str(&event).unwrap();
        events.entry(run).or_default().push((event, kernel::Timestamp::from_micros(at)));
    }
    for (id, stored) in all::<(String, String)>(db, "SELECT id, life FROM runs").await {
        let stored: life::Run = serde_json::from_str(&stored).unwrap();
        assert_eq!(life::replay(&events[&id]).unwrap(), stored, "{id}");
    }
}

async fn no_two_current_runs(db: &Db) {
    let sql = "SELECT workspace_id, COUNT(*) FROM runs WHERE final = FALSE AND status <> 'pending'
               AND operation NOT IN ('plan_only', 'save_plan') GROUP BY workspace_id HAVING COUNT(*) > 1";
    let found: Vec<(String, i64)> = all(db, sql).await;
    assert!(found.is_empty(), "workspaces with several current runs: {found:?}");
}

async fn no_lock_of_an_ended_run(db: &Db) {
    let sql = "SELECT w.id, r.id, r.status FROM workspaces w JOIN runs r ON r.id = w.lock_holder
               WHERE w.lock_kind = 'run' AND r.final = TRUE";
    let found: Vec<(String, String, String)> = all(db, sql).await;
    assert!(found.is_empty(), "workspaces that are locked by runs that have ended: {found:?}");
}

/// Rows and objects agree, but for files that no row names. Returns the ids of those that are files.
async fn rows_have_objects(db: &Db, files: &HashMap<String, Duration>) -> HashSet<String> {
    let missing = format!(
        "SELECT named.id FROM ({NAMED}) AS named WHERE named.id IS NOT NULL AND named.id NOT IN (SELECT id FROM blobs)"
    );
    let missing: Vec<(String,)> = all(db, &missing).await;
    assert!(missing.is_empty(), "objects that are referred to have no row: {missing:?}");
    let unused = format!(
        "SELECT id, kind FROM blobs WHERE id NOT IN (SELECT id FROM ({NAMED}) AS named WHERE id IS NOT NULL)"
    );
    let unused: Vec<(String, String)> = all(db, &unused).await;
    assert!(unused.is_empty(), "objects that nothing refers to have a row: {unused:?}");
    let filed: Vec<(String,)> = all(db, "SELECT id FROM blobs WHERE inline IS NULL").await;
    for (id,) in &filed {
        assert!(files.contains_key(id), "the object {id} has a row and no file");
    }
    filed.into_iter().map(|(id,)| id).collect()
}

/// The ids of the objects that are files, with their ages.
fn files(dir: &Path) -> HashMap<String, Duration> {
    let age = |path: &Path| fs::metadata(path).ok()?.modified().ok()?.elapsed().ok();
    let named = |path: std::path::PathBuf| {
        let id = path.file_name()?.to_str()?.to_owned();
        Some((id, age(&path).unwrap_or_default()))
    };
    paths(dir).into_iter().filter_map(named).collect()
}

fn paths(dir: &Path) -> Vec<std::path::PathBuf> {
    let shards = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let shards = shards.filter(|path| path.file_name().is_some_and(|name| name != "tmp"));
    shards.flat_map(|shard| fs::read_dir(shard).unwrap().map(|file| file.unwrap().path())).collect()
}
