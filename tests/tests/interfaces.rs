//! The published interfaces: `config/dbus/interfaces/*.xml` is what the daemons say of themselves.
//!
//! After a change of an interface, `SMARTPOS_UPDATE_INTERFACES=1 cargo test -p smartpos-tests --test interfaces` writes the files.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::Path;

use client::card::CardProxy;
use client::printer::PrinterProxy;
use smartpos_tests::Bench;
use zbus::Connection;
use zbus::fdo::IntrospectableProxy;

/// The interfaces of the object at `path` that are ours, each with its XML.
async fn interfaces(bus: &Connection, service: &str, path: &str) -> Vec<(String, String)> {
    let object = IntrospectableProxy::builder(bus)
        .destination(service.to_string())
        .path(path.to_string())
        .build()
        .await
        .unwrap();
    let xml = object.introspect().await.expect("the object answers");
    // Objects below this one are shown inside of it.
    let own = xml.split("<node").nth(1).unwrap_or_default();
    let parts = own.split("<interface name=\"").skip(1).filter_map(|part| {
        let name = part.split('"').next()?.to_string();
        let body = part.split("</interface>").next()?;
        name.starts_with("org.smartpos.").then(|| (name, format!("<interface name=\"{body}</interface>\n")))
    });
    parts.collect()
}

#[tokio::test]
async fn the_published_interfaces_are_what_the_daemons_say_of_themselves() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let shop = smartpos_tests::Shop::new(bus.clone(), "operator").await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("card-read").await;
    let mut found = interfaces(&bus, "org.smartpos.Card", "/org/smartpos/Card/transaction/1").await;
    sale.completed().await;
    let printer = client::proxy::<PrinterProxy>(&bus).await.unwrap();
    let document = vec![("text", HashMap::from([("text", "interfaces".into())]))];
    let job = printer.print(&document, "interfaces", HashMap::new()).await.expect("a job");
    for (service, path) in [
        ("org.smartpos.Payment", "/org/smartpos/Payment"),
        ("org.smartpos.Payment", "/org/smartpos/Payment/parameters"),
        ("org.smartpos.Payment", shop.path("order-1").as_str()),
        ("org.smartpos.Card", "/org/smartpos/Card"),
        ("org.smartpos.Printer", "/org/smartpos/Printer"),
        ("org.smartpos.Printer", job.as_str()),
    ] {
        found.extend(interfaces(&bus, service, path).await);
    }
    let shop = bench.terminal.app_bus().await.unwrap();
    let card = client::proxy::<CardProxy>(&shop).await.unwrap();
    let claim = card.claim("contact", HashMap::new()).await.expect("a claim");
    found.extend(interfaces(&shop, "org.smartpos.Card", claim.as_str()).await);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/dbus/interfaces");
    for (name, xml) in &found {
        let file = folder.join(format!("{name}.xml"));
        let document = format!(
            "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n  {xml}</node>\n"
        );
        if env::var_os("SMARTPOS_UPDATE_INTERFACES").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &document).unwrap();
        }
        let published = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(published, document, "{} is not what the daemon says", file.display());
    }
}
