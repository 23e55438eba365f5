//! Which name was meant.

/// The name that is closest to what was written, where one is close.
pub(crate) fn similar<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &'a str| (distance(written, name), name);
    let (distance, name) = names.into_iter().map(near).min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 4).then_some(name)
}

/// `, did you mean 'name'?`, or nothing.
pub(crate) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    similar(written, names).map(|name| format!(", did you mean '{name}'?")).unwrap_or_default()
}

/// How many letters are to be changed, added, left out or exchanged with their neighbours.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    let cell = |rows: &[Vec<usize>], i: usize, j: usize| {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX / 2)
    };
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let left = row.last().copied().unwrap_or_default() + 1;
            let mut best = left.min(cell(&rows, i, j + 1) + 1).min(cell(&rows, i, j) + usize::from(a != b));
            let crossed = i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if crossed {
                best = best.min(cell(&rows, i - 1, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    cell(&rows, one.len(), other.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["name", "image", "command", "read_only"];
        for (written, meant) in [
            ("nmae", "name"),
            ("Name", "name"),
            ("imgae", "image"),
            ("comand", "command"),
            ("readonly", "read_only"),
        ] {
            assert_eq!(similar(written, names), Some(meant), "{written}");
        }
        assert_eq!(similar("volume", names), None);
        assert_eq!(did_you_mean("nmae", names), ", did you mean 'name'?");
    }
}
