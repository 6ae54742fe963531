//! A foreign client: zlink, the asynchronous implementation of varlink for Rust.

mod common;

use std::pin::pin;

use common::{Daemon, WATCHDOG};
use futures_util::{Stream, StreamExt as _};
use serde_derive::{Deserialize, Serialize};
use zlink::tokio::unix;
use zlink::varlink_service::Proxy as _;
use zlink::{ReplyError, proxy};

#[proxy("io.globstash")]
trait Globstash {
    async fn get(&mut self, key: &str) -> zlink::Result<Result<Variable, Failure>>;

    async fn set(
        &mut self,
        key: &str,
        value: &str,
        condition: Option<Condition>,
    ) -> zlink::Result<Result<Revision, Failure>>;

    #[zlink(rename = "Set", oneway)]
    async fn set_unheard(&mut self, key: &str, value: &str) -> zlink::Result<()>;

    async fn increment(&mut self, key: &str, by: &str) -> zlink::Result<Result<Sum, Failure>>;

    #[zlink(more)]
    async fn list(
        &mut self,
        patterns: &[&str],
    ) -> zlink::Result<impl Stream<Item = zlink::Result<Result<Listed, Failure>>>>;

    #[zlink(more)]
    async fn watch(
        &mut self,
        patterns: &[&str],
    ) -> zlink::Result<impl Stream<Item = zlink::Result<Result<Changes, Failure>>>>;
}

#[derive(Debug, Serialize)]
struct Condition {
    revision: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Variable {
    defined: bool,
    value: Option<String>,
    revision: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Revision {
    revision: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Sum {
    value: String,
    revision: i64,
}

#[derive(Debug, Deserialize)]
struct Listed {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    events: Vec<Event>,
    up_to_date: Option<bool>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Event {
    change: Change,
    key: String,
    value: Option<String>,
    revision: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Set,
    Deleted,
}

#[derive(Debug, PartialEq, ReplyError)]
#[zlink(interface = "io.globstash")]
enum Failure {
    ConditionFailed { key: String, revision: i64 },
    InvalidKey { key: String, reason: String },
    NotNumeric { key: String },
}

/// Runs a test on this thread, with a watchdog.
fn run(test: impl Future<Output = zlink::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let result = runtime.block_on(async { tokio::time::timeout(WATCHDOG, test).await });
    result
        .expect("no answer from the service")
        .expect("zlink is content");
}

#[test]
fn the_service_describes_itself() {
    let daemon = Daemon::start();
    run(async {
        let mut service = unix::connect(daemon.socket()).await?;
        let info = service.get_info().await?.expect("there is information");
        assert_eq!(info.product, "globstash");
        let names = ["io.globstash", "org.varlink.service"];
        assert!(info.interfaces.iter().eq(&names));
        for name in names {
            let description = service.get_interface_description(name.try_into()?).await?;
            let description = description.expect("it is described");
            assert_eq!(description.parse()?.name().as_str(), name);
        }
        Ok(())
    });
}

#[test]
fn variables_are_set_and_read() {
    let daemon = Daemon::start();
    run(async {
        let mut stash = unix::connect(daemon.socket()).await?;
        let absent = stash.get("a").await?.expect("absence is no error");
        assert!(!absent.defined);

        let set = stash.set("a", "1", None).await?;
        assert_eq!(set, Ok(Revision { revision: 1 }));
        let present = Variable {
            defined: true,
            value: Some("1".to_owned()),
            revision: 1,
        };
        assert_eq!(stash.get("a").await?, Ok(present));

        // A call without a reply, then one with: the replies do not get mixed up.
        stash.set_unheard("b", "0.5").await?;
        let sum = Sum {
            value: "0.75".to_owned(),
            revision: 3,
        };
        assert_eq!(stash.increment("b", "0.25").await?, Ok(sum));
        Ok(())
    });
}

#[test]
fn errors_arrive_as_what_they_are() {
    let daemon = Daemon::start();
    run(async {
        let mut stash = unix::connect(daemon.socket()).await?;
        let key = || "a".to_owned();
        stash.set("a", "text", None).await?.expect("it may be set");

        let refused = stash.set("a", "2", Some(Condition { revision: 7 }));
        let failure = Failure::ConditionFailed {
            key: key(),
            revision: 1,
        };
        assert_eq!(refused.await?, Err(failure));

        let refused = stash.increment("a", "1").await?;
        assert_eq!(refused, Err(Failure::NotNumeric { key: key() }));

        let refused = stash.get("a=b").await?;
        assert!(matches!(refused, Err(Failure::InvalidKey { key, .. }) if key == "a=b"));
        let refused = stash.increment("a", "much").await;
        let refused = refused.expect_err("that is no number");
        assert!(
            matches!(refused, zlink::Error::VarlinkService(_)),
            "{refused}"
        );
        Ok(())
    });
}

#[test]
fn a_list_is_a_stream() {
    /// Enough for several replies.
    const COUNT: usize = 3000;

    let daemon = Daemon::start();
    run(async {
        let mut stash = unix::connect(daemon.socket()).await?;
        let keys: Vec<String> = (0..COUNT).map(|n| format!("key/{n:05}")).collect();
        for key in &keys {
            stash.set_unheard(key, "value").await?;
        }
        let mut listed = Vec::new();
        let mut replies = 0;
        {
            let mut list = pin!(stash.list(&["key/*"]).await?);
            while let Some(reply) = list.next().await {
                let entries = reply?.expect("a part of the list").entries;
                listed.extend(entries.into_iter().map(|entry| entry.key));
                replies += 1;
            }
        }
        assert_eq!(listed, keys);
        assert!(replies > 1);
        // The connection is as good as before.
        assert!(stash.get("key/00000").await?.expect("it is there").defined);
        Ok(())
    });
}

#[test]
fn a_watch_is_a_stream_that_sees_changes() {
    let daemon = Daemon::start();
    run(async {
        let mut watcher = unix::connect(daemon.socket()).await?;
        let mut writer = unix::connect(daemon.socket()).await?;
        let mut watch = pin!(watcher.watch(&["a/*"]).await?);
        let mut next = async || {
            let reply = watch.next().await.expect("a watch has no end");
            zlink::Result::Ok(reply?.expect("it goes on"))
        };

        let begin = next().await?;
        assert_eq!((begin.events, begin.up_to_date), (Vec::new(), Some(true)));

        writer.set("b/x", "0", None).await?.expect("it is set");
        writer.set("a/x", "1", None).await?.expect("it is set");
        let event = Event {
            change: Change::Set,
            key: "a/x".to_owned(),
            value: Some("1".to_owned()),
            revision: 2,
        };
        assert_eq!(next().await?.events, [event]);
        writer.increment("a/x", "1").await?.expect("it is a number");
        assert_eq!(next().await?.events[0].value.as_deref(), Some("2"));
        Ok(())
    });
}
