//! The C header, from the functions, types and comments of `src/capi`.

use std::path::Path;

use cbindgen::{
    Builder, Config, DocumentationStyle, EnumConfig, ExportConfig, Language, RenameRule, Style,
};

/// What a type is called in C.
const NAMES: [(&str, &str); 14] = [
    ("Stash", "globstash_stash"),
    ("Variable", "globstash_variable"),
    ("List", "globstash_list"),
    ("Entry", "globstash_entry"),
    ("Watch", "globstash_watch"),
    ("Event", "globstash_event"),
    ("Kind", "globstash_change"),
    ("Terms", "globstash_terms"),
    ("Protection", "globstash_protection"),
    ("If", "globstash_if"),
    ("Condition", "globstash_condition"),
    ("Step", "globstash_step"),
    ("Do", "globstash_do"),
    ("Position", "globstash_position"),
];

/// The header as it should be. `beginning` is what stands before everything else.
pub fn write(source: &Path, beginning: &str) -> String {
    let mut names = NAMES
        .map(|(rust, c)| (rust.to_owned(), c.to_owned()))
        .to_vec();
    names.push(("Code".to_owned(), "globstash_error".to_owned()));
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Type,
        header: Some(beginning.trim_end().to_owned()),
        include_guard: Some("GLOBSTASH_H".to_owned()),
        no_includes: true,
        sys_includes: ["stddef.h", "stdint.h", "sys/types.h"]
            .map(str::to_owned)
            .to_vec(),
        after_includes: Some(versions() + DEFAULT),
        documentation_style: DocumentationStyle::Doxy,
        line_length: 80,
        tab_width: 4,
        export: ExportConfig {
            rename: names.into_iter().collect(),
            // No function has a parameter of these types: a number from elsewhere may be none of theirs.
            include: ["Code", "Do", "If", "Kind", "Protection"]
                .map(str::to_owned)
                .to_vec(),
            ..ExportConfig::default()
        },
        enumeration: EnumConfig {
            rename_variants: RenameRule::QualifiedScreamingSnakeCase,
            ..EnumConfig::default()
        },
        ..Config::default()
    };
    let bindings = Builder::new()
        .with_config(config)
        .with_src(source)
        .generate();
    let mut header = Vec::new();
    bindings.expect("src/capi can be read").write(&mut header);
    polished(&String::from_utf8(header).expect("a header is text"))
}

/// With short comments on one line, tags for structures, and negative numbers in parentheses, as C programmers
/// write them.
fn polished(header: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in header.lines() {
        let last = lines.len().saturating_sub(2);
        let comment = match &lines[last..] {
            [begin, text] if line.trim() == "*/" && begin.trim() == "/**" => {
                text.trim().strip_prefix("* ")
            }
            _ => None,
        };
        if let Some(text) = comment {
            let indent = &line[..line.len() - line.trim_start().len() - 1];
            let short = format!("{indent}/** {text} */");
            lines.truncate(last);
            lines.push(short);
            continue;
        }
        // Who does not include the header can name it all the same.
        if let Some(name) = line.strip_prefix("} ").and_then(|it| it.strip_suffix(';')) {
            let mut begun = lines.iter_mut().rev();
            let begin = begun.find(|it| it.starts_with("typedef ") && it.ends_with(" {"));
            let begin = begin.expect("it began");
            *begin = begin.replace(" {", &format!(" {name} {{"));
        }
        let number = line
            .rsplit_once(' ')
            .filter(|(_, word)| word.starts_with('-'));
        lines.push(match number {
            Some((define, number)) if define.starts_with("#define ") => {
                format!("{define} ({number})")
            }
            _ => line.trim_end().to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

/// What no constant of Rust can be: a pointer. In `src/capi/arguments.rs` it is `DEFAULT_STASH`.
const DEFAULT: &str = r"

/**
 * Where a function takes a handle: the default one, which the short functions use. It is always open.
 * NULL is no handle: that is what a program has that could not open one.
 */
#ifdef __cplusplus
#define GLOBSTASH_DEFAULT (reinterpret_cast<globstash_stash *>(1))
#else
#define GLOBSTASH_DEFAULT ((globstash_stash *)1)
#endif";

/// The version, for programs that are compiled.
fn versions() -> String {
    let [version, major, minor, patch] = [
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    format!(
        "\n#define GLOBSTASH_VERSION \"{version}\"\n\
         #define GLOBSTASH_VERSION_MAJOR {major}\n\
         #define GLOBSTASH_VERSION_MINOR {minor}\n\
         #define GLOBSTASH_VERSION_PATCH {patch}"
    )
}
