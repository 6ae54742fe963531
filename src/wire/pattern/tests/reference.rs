//! What patterns mean, written down as naively as possible: braces are expanded, what comes out
//! is matched by trying everything. Shares no code with what it judges.

/// Tells whether `key` matches `pattern`, or `None` if that is no pattern.
pub(super) fn matches(pattern: &str, key: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let key: Vec<char> = key.chars().collect();
    let mut expanded = Vec::new();
    for pattern in expand(&pattern)? {
        expanded.push(pieces(&pattern)?);
    }
    if expanded.len() > 64 {
        return None;
    }
    Some(
        expanded
            .iter()
            .any(|pieces| !pieces.is_empty() && piece_by_piece(pieces, &key)),
    )
}

/// How long the part of the text is that cannot be divided: an escape, brackets or a character.
fn unit(text: &[char]) -> Option<usize> {
    match text[0] {
        '\\' => (text.len() >= 2).then_some(2),
        '[' => {
            let mut end = 1;
            if matches!(text.get(end)?, '!' | '^') {
                end += 1;
            }
            let first = end;
            while *text.get(end)? != ']' || end == first {
                end += if text[end] == '\\' { 2 } else { 1 };
            }
            Some(end + 1)
        }
        _ => Some(1),
    }
}

fn expand(text: &[char]) -> Option<Vec<Vec<char>>> {
    let Some(&c) = text.first() else {
        return Some(vec![Vec::new()]);
    };
    if c != '{' {
        let (unit, rest) = text.split_at(unit(text)?);
        return Some(product(&[unit.to_vec()], &expand(rest)?));
    }
    // Where the alternatives begin, and where the last one ends.
    let mut parts = vec![1];
    let mut depth = 1;
    let mut at = 1;
    while depth > 0 {
        match text.get(at)? {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => parts.push(at + 1),
            _ => {}
        }
        at += unit(&text[at..])?;
    }
    parts.push(at);
    let mut alternatives = Vec::new();
    for part in parts.windows(2) {
        alternatives.extend(expand(&text[part[0]..part[1] - 1])?);
    }
    if parts.len() == 2 {
        alternatives = product(&[vec!['\\', '{']], &alternatives);
        alternatives = product(&alternatives, &[vec!['\\', '}']]);
    }
    Some(product(&alternatives, &expand(&text[at..])?))
}

fn product(left: &[Vec<char>], right: &[Vec<char>]) -> Vec<Vec<char>> {
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| (l, r)));
    pairs.map(|(l, r)| [&l[..], r].concat()).collect()
}

#[derive(PartialEq)]
enum Piece {
    Char(char),
    Question,
    Star,
    StarStar,
    Set(bool, Vec<(char, char)>),
    SomethingBelow,
}

/// A pattern without braces.
fn pieces(text: &[char]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let unit = unit(&text[at..])?;
        let piece = match text[at] {
            '\\' => Piece::Char(text[at + 1]),
            '?' => Piece::Question,
            '[' => set(&text[at + 1..at + unit - 1])?,
            '/' if at + 1 == text.len() => {
                pieces.push(Piece::Char('/'));
                Piece::SomethingBelow
            }
            '*' if matches!(pieces.last(), Some(Piece::Star | Piece::StarStar)) => {
                pieces.pop();
                Piece::StarStar
            }
            '*' => Piece::Star,
            c => Piece::Char(c),
        };
        pieces.push(piece);
        at += unit;
    }
    Some(pieces)
}

/// The text between brackets.
fn set(text: &[char]) -> Option<Piece> {
    let (negated, text) = match text {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Characters, and whether they were escaped.
    let mut chars = Vec::new();
    let mut escaped = false;
    for &c in text {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            chars.push((c, escaped));
            escaped = false;
        }
    }
    let mut ranges = Vec::new();
    let mut chars = &chars[..];
    while let Some(&(first, _)) = chars.first() {
        match chars {
            [_, ('-', false), (last, _), rest @ ..] => {
                ranges.push((first, *last));
                chars = rest;
            }
            _ => {
                ranges.push((first, first));
                chars = &chars[1..];
            }
        }
    }
    let forwards = ranges.iter().all(|(first, last)| first <= last);
    forwards.then_some(Piece::Set(negated, ranges))
}

fn piece_by_piece(pieces: &[Piece], key: &[char]) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return key.is_empty();
    };
    let next = key.first();
    match piece {
        Piece::Char(c) => next == Some(c) && piece_by_piece(rest, &key[1..]),
        Piece::Question => next.is_some_and(|c| *c != '/') && piece_by_piece(rest, &key[1..]),
        Piece::Set(negated, ranges) => {
            next.is_some_and(|c| {
                *c != '/' && ranges.iter().any(|(a, z)| a <= c && c <= z) != *negated
            }) && piece_by_piece(rest, &key[1..])
        }
        Piece::SomethingBelow => !key.is_empty(),
        Piece::Star => {
            piece_by_piece(rest, key)
                || next.is_some_and(|c| *c != '/') && piece_by_piece(pieces, &key[1..])
        }
        Piece::StarStar => {
            piece_by_piece(rest, key) || next.is_some() && piece_by_piece(pieces, &key[1..])
        }
    }
}
