//! What each example needs, and what comes of it.

/// An example, played with a service of its own.
pub struct Case {
    /// As it stands there.
    pub line: &'static str,
    /// A script that goes before.
    pub given: &'static str,
    /// A script that goes after it; meanwhile, if the example does not end.
    pub then: &'static str,
    /// What both print; of one that does not end, what it prints then.
    pub prints: &'static str,
    pub ends: Ends,
}

pub enum Ends {
    /// By itself, with an exit status.
    With(u8),
    /// Never; what it prints at first.
    Never(&'static str),
}

use Ends::{Never, With};

/// One that ends with status 0.
const fn case(
    line: &'static str,
    given: &'static str,
    then: &'static str,
    prints: &'static str,
) -> Case {
    Case {
        line,
        given,
        then,
        prints,
        ends: With(0),
    }
}

/// One that answers no.
const fn no(line: &'static str, given: &'static str) -> Case {
    Case {
        ends: With(1),
        ..case(line, given, "", "")
    }
}

/// One that goes on.
const fn follows(
    line: &'static str,
    given: &'static str,
    first: &'static str,
    then: &'static str,
    prints: &'static str,
) -> Case {
    Case {
        ends: Never(first),
        ..case(line, given, then, prints)
    }
}

const VOLUME: &str = "globstash set player/volume 0.5";
const PLAYER: &str = "globstash set player/volume 0.5; globstash set player/status playing
    globstash set player/tv/volume 0.2; globstash set motd Welcome";

pub const CASES: &[Case] = &[
    // set
    case(
        "globstash set player/volume 0.5",
        "",
        "globstash get player/volume",
        "0.5\n",
    ),
    case(
        "globstash set temperature -5",
        "",
        "globstash get temperature",
        "-5\n",
    ),
    case(
        "globstash set motd < motd.txt",
        "",
        "globstash get motd",
        "Welcome\n",
    ),
    case(
        "globstash set --raw logo < logo.png",
        "",
        "globstash get --raw logo | cmp - logo.png && echo same",
        "same\n",
    ),
    case(
        "globstash set motd ''",
        "globstash set motd x",
        "globstash list",
        "",
    ),
    case(
        "globstash set --empty motd",
        "",
        "globstash list",
        "motd=\n",
    ),
    case(
        "globstash set --new lock/build $$",
        "",
        "[[ $(globstash get lock/build) == $$ ]] && echo ours",
        "ours\n",
    ),
    case(
        "globstash set --if-revision 17 config/mode auto",
        "for i in {1..17}; do globstash set config/mode $i; done",
        "globstash get config/mode",
        "auto\n",
    ),
    // get
    case("globstash get player/volume", VOLUME, "", "0.5\n"),
    case("globstash get -d 0.8 player/volume", "", "", "0.8\n"),
    no("globstash get -e player/volume", ""),
    case(
        "globstash get --raw logo > logo.png",
        "printf 'a\\n' | globstash set --raw logo",
        "cat logo.png",
        "a\n",
    ),
    case(
        "x=$(globstash get k) || echo \"no service\"",
        "globstash set k v",
        "echo $x; GLOBSTASH_ADDRESS=unix:@none; x=$(globstash get k 2>/dev/null) || echo no",
        "v\nno\n",
    ),
    case(
        "globstash get player/volume || echo \"no service\"",
        "",
        "",
        "",
    ),
    // delete
    case(
        "globstash delete player/volume",
        VOLUME,
        "globstash list",
        "",
    ),
    case(
        "globstash delete --glob 'session/*'",
        "globstash set session/1 a; globstash set session/2 b",
        "globstash list",
        "2\n",
    ),
    // list
    case(
        "globstash list",
        PLAYER,
        "",
        "motd=Welcome\nplayer/status=playing\nplayer/tv/volume=0.2\nplayer/volume=0.5\n",
    ),
    case(
        "globstash list 'player/*'",
        PLAYER,
        "",
        "player/status=playing\nplayer/volume=0.5\n",
    ),
    case(
        "globstash list player/",
        PLAYER,
        "",
        "player/status=playing\nplayer/tv/volume=0.2\nplayer/volume=0.5\n",
    ),
    case(
        "globstash list -l player/",
        VOLUME,
        "",
        "player/volume=0.5  revision=1 set ..\n",
    ),
    case(
        "globstash list --keys '{tv,radio}/?'",
        "globstash set tv/1 a; globstash set radio/2 b; globstash set radio/10 c",
        "",
        "radio/2\ntv/1\n",
    ),
    case(
        "globstash list --json | jq -r .key",
        PLAYER,
        "",
        "motd\nplayer/status\nplayer/tv/volume\nplayer/volume\n",
    ),
    case(
        "globstash list --json 'player/**'",
        VOLUME,
        "",
        "{\"key\":\"player/volume\",\"value\":\"0.5\",\"revision\":1,\"modifiedUSec\":..}}\n",
    ),
    // watch
    follows(
        "globstash watch player/",
        VOLUME,
        "player/volume=0.5\n",
        "globstash set player/status playing; globstash delete player/volume",
        "player/status=playing\nplayer/volume\n",
    ),
    follows(
        "globstash watch --changes 'job/*'",
        "globstash set job/1 old",
        "",
        "globstash set job/2 new",
        "job/2=new\n",
    ),
    follows(
        "globstash watch --values -F volume",
        "globstash set volume 1",
        "1\n",
        "globstash set volume 2",
        "2\n",
    ),
    follows(
        "globstash watch --once --changes k",
        "globstash set k old",
        "",
        "globstash set k new",
        "k=new\n",
    ),
    follows(
        "globstash watch --changes config/ -- systemctl reload myapp",
        "globstash set config/mode old",
        "",
        "globstash set config/mode new",
        "systemctl reload myapp\n",
    ),
    follows(
        "globstash watch job/result -- sh -c 'notify-send \"$GLOBSTASH_KEY: $GLOBSTASH_VALUE\"'",
        "",
        "",
        "globstash set job/result fine",
        "notify-send job/result: fine\n",
    ),
    // wait
    case(
        "globstash wait db/ready",
        "globstash set db/ready yes",
        "",
        "yes\n",
    ),
    case(
        "globstash wait db/ready -t 30s",
        "globstash set db/ready yes",
        "",
        "yes\n",
    ),
    case(
        "globstash wait --value yes -t 30s db/ready",
        "globstash set db/ready yes",
        "",
        "yes\n",
    ),
    case("globstash wait --gone lock/build", "", "", ""),
    case(
        "globstash wait --changed-from 17 k",
        "globstash set k v",
        "",
        "v\n",
    ),
    // incr
    case("globstash incr hits", "globstash set hits 41", "", "42\n"),
    case("globstash incr hits -1", "", "", "-1\n"),
    case(
        "globstash incr player/volume 0.1 --min 0 --max 1",
        "globstash set player/volume 0.95",
        "",
        "1\n",
    ),
    // exists
    case(
        "globstash exists db/ready && echo ready",
        "globstash set db/ready yes",
        "",
        "ready\n",
    ),
    // env
    case(
        "eval \"$(globstash env app/)\"",
        "globstash set app/host \"db'1\"",
        "echo $APP_HOST; env | grep APP_HOST",
        "db'1\nAPP_HOST=db'1\n",
    ),
    case(
        "globstash env app/ -- ./server",
        "globstash set app/host db",
        "",
        "server of db\n",
    ),
    case(
        "globstash env -F app/host",
        "globstash set app/host db",
        "",
        "export APP_HOST='db'\n",
    ),
    // export
    case("globstash export > saved", PLAYER, "wc -l < saved", "4\n"),
    case(
        "globstash export app/ player/ > saved",
        PLAYER,
        "cat saved",
        "player/status=playing\nplayer/tv/volume=0.2\nplayer/volume=0.5\n",
    ),
    case(
        "globstash export | gzip > saved.gz",
        VOLUME,
        "gzip -dc saved.gz",
        "player/volume=0.5\n",
    ),
    // import
    case(
        "globstash import < saved",
        "echo a=1 > saved",
        "globstash list",
        "a=1\n",
    ),
    case(
        "gzip -dc saved.gz | globstash import --in-parts",
        "echo a=1 | gzip > saved.gz",
        "globstash list",
        "a=1\n",
    ),
    case(
        "printf 'app/host=db\\napp/port=5432\\n' | globstash import",
        "",
        "globstash list",
        "app/host=db\napp/port=5432\n",
    ),
    // lock
    case("globstash lock build -- make", "", "", "make\n"),
    case("globstash lock build -t 10s -- make", "", "", "make\n"),
    case("globstash lock build -t 0 -- make", "", "", "make\n"),
    // lifetimes
    case(
        "globstash set --ttl 30s session/42 alice",
        "",
        "globstash list -l",
        "session/42=alice  revision=1 ..s\n",
    ),
    case(
        "globstash set --pid $$ player/status playing",
        "",
        "globstash list",
        "player/status=playing\n",
    ),
    case(
        "globstash set --protect site/name x",
        "",
        "globstash list -l",
        "site/name=x  revision=1 .., protected for uid 0\n",
    ),
    case(
        "globstash set --protect site/name example",
        "",
        "globstash list -l",
        "site/name=example  revision=1 .., protected for uid 0\n",
    ),
    // completions
    case(
        "source <(globstash completions bash)",
        "",
        "complete -p globstash",
        "complete -o nosort -F _globstash globstash\n",
    ),
    case(
        "globstash completions zsh > _globstash",
        "",
        "head -1 _globstash",
        "#compdef globstash\n",
    ),
    case(
        "globstash completions fish > globstash.fish",
        "",
        "tail -1 globstash.fish",
        "complete --command globstash ..\n",
    ),
    // status, help
    case(
        "globstash status",
        "",
        "",
        "globstash ..\nvariables 0 of 1048576, 0 B of 256 MiB, revision 0, 1 connection, 0 watches\nstarted by hand, as process ..\n",
    ),
    case("globstash status --json | jq .calls", "", "", "0\n"),
    case(
        "globstash help set",
        "",
        "",
        "Define a variable or replace its value.\n...\n",
    ),
];
