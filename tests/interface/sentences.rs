//! The sentences of the interface file, each with the place where it stands.

/// Where a sentence stands, such as `Set`, `Set.key` or `Set().revision`, and the sentence.
pub type Sentence = (&'static str, &'static str);

/// What our interface file says, in its order.
pub fn of_the_interface() -> Vec<(String, String)> {
    of(include_str!("../../io.globstash.varlink"))
}

/// What an interface file says: each comment is about the line that follows it.
fn of(text: &str) -> Vec<(String, String)> {
    let (mut said, mut comment) = (Vec::new(), Vec::new());
    let (mut member, mut result) = ("", "");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(words) = line.strip_prefix('#') {
            comment.extend(sentences(words.trim()));
            continue;
        }
        let name = |rest| str::split(rest, [' ', '(']).next().expect("a first word");
        let kinds = ["interface ", "type ", "method ", "error "];
        let place = match kinds.iter().find_map(|kind| line.strip_prefix(kind)) {
            Some(rest) => {
                (member, result) = (name(rest), "");
                member.to_owned()
            }
            None => {
                let field = line.split([':', ',']).next().expect("a first word");
                format!("{member}{result}.{field}")
            }
        };
        if line.ends_with(") -> (") {
            result = "()";
        }
        said.extend(comment.drain(..).map(|sentence| (place.clone(), sentence)));
    }
    assert!(comment.is_empty(), "a comment about nothing: {comment:?}");
    said
}

/// A sentence ends with a full stop that is followed by the beginning of another one.
fn sentences(words: &str) -> Vec<String> {
    let begins = |rest: &str| rest.starts_with(|first: char| first.is_uppercase() || first == '\'');
    let ends = words.match_indices(". ").map(|(at, _)| at + 1);
    let ends = ends.filter(|&end| begins(&words[end + 1..]));
    let mut sentences = Vec::new();
    let mut start = 0;
    for end in ends.chain([words.len()]).filter(|&end| end > 0) {
        sentences.push(words[start..end].to_owned());
        start = end + 1;
    }
    sentences
}

#[test]
fn a_sentence_is_known_with_its_place() {
    let text = "# One. Two, e.g. this.\n#\n# 'three' comes last.\ninterface a.b\n# A method.\n\
                method Do(\n\t# In.\n\tkey: string\n) -> (\n\t# Out. 'x' or not.\n\tcount: int\n)\n\
                # A word.\ntype Kind (\n\t# This.\n\tthis,\n\t# That.\n\tthat\n)\n";
    let said = of(text);
    let said = said.iter().map(|(place, words)| (&**place, &**words));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            ("a.b", "One."),
            ("a.b", "Two, e.g. this."),
            ("a.b", "'three' comes last."),
            ("Do", "A method."),
            ("Do.key", "In."),
            ("Do().count", "Out."),
            ("Do().count", "'x' or not."),
            ("Kind", "A word."),
            ("Kind.this", "This."),
            ("Kind.that", "That."),
        ]
    );
}
