//! What is measured, in turns.

use std::path::Path;
use std::time::Duration;

use crate::load::{Load, Measured, Way, run, trusting};
use crate::origin::make_identity;
use crate::process::Running;
use crate::{Failure, Plan};

/// One row: a way to a service, the row without a proxy to compare it with, and what is asked for.
struct Row<'r> {
    what: &'static str,
    way: Way,
    direct: usize,
    is_new: bool,
    proxy: Option<&'r Running>,
    all_out: Vec<Measured>,
    paced: Vec<Measured>,
    /// Processor time of the proxy for a request, in microseconds.
    work: Vec<f64>,
}

/// Requests a second of all connections together when they are paced.
const PACE: u32 = 1_000;

pub(crate) fn all(plan: &Plan) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    make_identity(folder.path())?;
    let (cert, place) = (path("cert.pem"), folder.path().to_string_lossy().into_owned());
    let root = cert.to_string_lossy().into_owned();
    let [plain, secure, two] = ["http", "https", "h2"].map(|kind| Running::own(&["origin", kind, &place]));
    let (plain, secure, two) = (plain?, secure?, two?);
    let own = |mode: &str| {
        let folder = path(mode);
        Running::own(&["proxy", mode, &folder.to_string_lossy(), &root])
    };
    let (record, missing) = (own("record")?, own("record-missing")?);
    let ca = |mode: &str| trusting(&path(mode).join("ca.pem"));
    let (record_ca, missing_ca) = (ca("record")?, ca("record-missing")?);
    let direct = |origin: &Running, tls| Way { origin: origin.address, proxy: None, tls };
    let through =
        |origin: &Running, proxy: &Running, tls| Way { proxy: Some(proxy.address), ..direct(origin, tls) };
    let mut rows = vec![
        row("HTTP, direct", direct(&plain, None), 0, None),
        row("HTTP, recorded", through(&plain, &record, None), 0, Some(&record)),
        row("HTTP, each request new, a file each", through(&plain, &record, None), 0, Some(&record)),
        row("HTTP, played back", through(&plain, &missing, None), 0, Some(&missing)),
        row("HTTPS, direct", direct(&secure, Some(trusting(&cert)?)), 4, None),
        row("HTTPS, recorded", through(&secure, &record, Some(record_ca.clone())), 4, Some(&record)),
        row(
            "HTTPS, recorded, HTTP/2 to the service",
            through(&two, &record, Some(record_ca)),
            4,
            Some(&record),
        ),
        row("HTTPS, played back", through(&secure, &missing, Some(missing_ca)), 4, Some(&missing)),
    ];
    if let Some(row) = rows.get_mut(2) {
        row.is_new = true;
    }
    let theirs = path("mitmdump");
    std::fs::create_dir(&theirs)?;
    let mitm = std::env::var("MITMDUMP").ok().map(|program| Running::mitmdump(&program, &theirs, &cert));
    let mitm = mitm.transpose()?;
    if let Some(mitm) = &mitm {
        let ca = trusting(&theirs.join("mitmproxy-ca-cert.pem"))?;
        rows.push(row("HTTP, recorded by mitmdump", through(&plain, mitm, None), 0, Some(mitm)));
        rows.push(row("HTTPS, recorded by mitmdump", through(&secure, mitm, Some(ca)), 4, Some(mitm)));
    }
    measure(&mut rows, plan)?;
    print(&rows, plan);
    println!("{} files were recorded", count(&path("record/recorded"))?);
    Ok(())
}

fn row<'r>(what: &'static str, way: Way, direct: usize, proxy: Option<&'r Running>) -> Row<'r> {
    Row { what, way, direct, is_new: false, proxy, all_out: Vec::new(), paced: Vec::new(), work: Vec::new() }
}

fn measure(rows: &mut [Row<'_>], plan: &Plan) -> Result<(), Failure> {
    let time = Duration::from_secs(plan.seconds);
    let connections = plan.connections;
    let pause = Duration::from_secs(1) * u32::try_from(connections)? / PACE;
    let mut number = 0;
    let is_wanted = |row: &Row<'_>| row.proxy.is_none() || row.what.contains(&plan.only);
    for row in rows.iter().filter(|row| is_wanted(row)) {
        let time = Duration::from_millis(300);
        run(&row.way, Load { connections, time, pause: None, is_new: false }, 0)?;
    }
    for _ in 0..plan.rounds {
        for row in rows.iter_mut().filter(|row| is_wanted(row)) {
            number += 1;
            let worked = row.proxy.and_then(Running::worked);
            let load = Load { connections, time, pause: None, is_new: row.is_new };
            let measured = run(&row.way, load, number)?;
            if let (Some(before), Some(after)) = (worked, row.proxy.and_then(Running::worked)) {
                row.work.push((after - before) * 1e6 / measured.milliseconds.len() as f64);
            }
            row.all_out.push(measured);
            number += 1;
            row.paced.push(run(&row.way, Load { pause: Some(pause), ..load }, number)?);
        }
    }
    Ok(())
}

fn print(rows: &[Row<'_>], plan: &Plan) {
    println!(
        "{} connections, {} rounds of {} s, medians of the rounds",
        plan.connections, plan.rounds, plan.seconds
    );
    println!(
        "{:<40} {:>8} {:>8} {:>10} {:>12} {:>14}",
        "", "req/s", "/direct", "work (us)", "median (ms)", "added (ms)"
    );
    for row in rows.iter().filter(|row| !row.all_out.is_empty()) {
        let of = |value: &dyn Fn(&Row<'_>) -> Vec<f64>| median(value(row));
        let direct = rows.get(row.direct).unwrap_or(row);
        let ratios =
            row.all_out.iter().zip(&direct.all_out).map(|(one, two)| one.per_second / two.per_second);
        let added = row.paced.iter().zip(&direct.paced).map(|(one, two)| one.at(0.5) - two.at(0.5));
        let (speed, middle) = (
            of(&|row| row.all_out.iter().map(|one| one.per_second).collect()),
            of(&|row| row.paced.iter().map(|one| one.at(0.5)).collect()),
        );
        println!(
            "{:<40} {speed:>8.0} {:>8.2} {:>10.0} {middle:>12.3} {:>14.3}",
            row.what,
            median(ratios.collect()),
            median(row.work.clone()),
            median(added.collect()),
        );
    }
    println!(
        "req/s: each connection asks as soon as it is answered; median and added: {PACE} requests/s in all"
    );
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn count(folder: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        count += if path.is_dir() { self::count(&path)? } else { 1 };
    }
    Ok(count)
}
