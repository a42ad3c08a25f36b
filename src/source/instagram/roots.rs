//! Finds the roots of the exports among all listed paths, and the role of each file in its export.

use std::collections::{BTreeMap, BTreeSet};

use super::export_layout::{self, Evidence, Role};

/// The roots of the exports in each source, and whether an export is of the first generation (G1).
#[derive(Default)]
pub(super) struct Roots<'a>(BTreeMap<&'a str, BTreeMap<&'a str, bool>>);

impl<'a> Roots<'a> {
    /// Finds the roots by the sources and paths of everything that was listed.
    pub(super) fn of(places: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        // A G1 export is recognised by an index together with media, which may be in different parts of it. For later
        // generations one certain path is enough. Possible paths under the same root then count too.
        let (mut conclusive, mut media, mut indexes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut certain = BTreeSet::new();
        for (source, path) in places.clone() {
            for (root, inner_path) in splits(path) {
                match export_layout::g1_folder(inner_path) {
                    Some(folder) if export_layout::is_conclusive(folder) => _ = conclusive.insert(root),
                    Some(_) => _ = media.insert(root),
                    None if inner_path == export_layout::G1_INDEX => _ = indexes.insert(root),
                    None => {}
                }
                let evidence = export_layout::evidence(inner_path);
                let name = root.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
                if evidence == Some(Evidence::Certain)
                    || (evidence.is_some() && export_layout::is_exports_name(name.unwrap_or(source)))
                {
                    certain.insert(root);
                }
            }
        }
        conclusive.extend(media.intersection(&indexes));
        let mut roots = Self::default();
        for (source, path) in places {
            for (root, inner_path) in splits(path) {
                let is_g1_path =
                    inner_path == export_layout::G1_INDEX || export_layout::g1_folder(inner_path).is_some();
                let is_g1 = is_g1_path && conclusive.contains(root);
                if is_g1 || (certain.contains(root) && export_layout::evidence(inner_path).is_some()) {
                    *roots.0.entry(source).or_default().entry(root).or_default() |= is_g1;
                    // A folder inside an export is not searched for another export:
                    // `your_instagram_activity/messages/inbox/`.
                    if !matches!(export_layout::role(inner_path, is_g1), Role::Foreign | Role::Media(_))
                        || inner_path.starts_with("your_instagram_activity/")
                    {
                        break;
                    }
                }
            }
        }
        roots
    }

    /// The export that a file belongs to, as the length of its root, and the role of the file in it. A file that is
    /// private in any export around it is private. Otherwise the outermost export in which the file is more than a text
    /// decides. So the path `media/stories/202401/` does not make `media` the root of a G1 export.
    pub(super) fn place(&self, source: &str, path: &str) -> Option<(usize, Role)> {
        let roots = self.0.get(source)?;
        let mut found = None;
        for (root, inner_path) in splits(path) {
            let Some(&is_g1) = roots.get(root) else { continue };
            match export_layout::role(inner_path, is_g1) {
                Role::Foreign => {}
                Role::Private => return Some((root.len(), Role::Private)),
                // To an outer export, an index of an inner one is only a text, so the role in the inner export is used.
                role if found.is_none_or(|(_, known)| known == Role::Text) => found = Some((root.len(), role)),
                _ => {}
            }
        }
        found
    }
}

/// A path split before each of its components, into a possible root and the path under it.
fn splits(path: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::once(0).chain(path.match_indices('/').map(|(start, _)| start + 1)).map(|start| path.split_at(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PictureKind;

    fn roles(places: &[(&'static str, &'static str)]) -> Vec<Option<Role>> {
        let roots = Roots::of(places.iter().copied());
        places.iter().map(|(source, path)| roots.place(source, path).map(|(_, role)| role)).collect()
    }

    #[test]
    fn roots_are_found_wherever_they_lie() {
        let place = |path| Roots::of([("s", path)].into_iter()).place("s", path);
        assert_eq!(place("2024/me/media/stories/202401/x.jpg"), Some((8, Role::Media(PictureKind::Story))));
        assert_eq!(place("me/your_instagram_activity/messages/inbox/media/posts/x.jpg"), Some((3, Role::Private)));
        assert_eq!(place("multimedia/posts/x.jpg"), None);
        assert_eq!(place("photos/201901/x.jpg"), None);
        assert_eq!(place("direct/201901/x.jpg"), Some((0, Role::Private)));
    }

    #[test]
    fn the_first_generation_is_told_across_its_parts() {
        let places = [
            ("1", "media.json"),
            ("2", "photos/201901/x.jpg"),
            ("3", "profile/201901/x.jpg"),
            ("3", "holiday.jpg"),
            ("4", "elsewhere/photos/201901/x.jpg"),
        ];
        let (post, profile) = (Role::Media(PictureKind::Post), Role::Media(PictureKind::Profile));
        let index = Role::Index(export_layout::Index::Generation1);
        assert_eq!(roles(&places), [Some(index), Some(post), Some(profile), None, None]);
    }

    #[test]
    fn an_export_within_another_keeps_its_own_roles_and_both_their_privacy() {
        let places = [
            ("s", "media/posts/a.jpg"),
            ("s", "2023/media/stories/b.jpg"),
            ("s", "2023/content/posts_1.json"),
            ("s", "2023/messages/inbox/friend/photos/c.jpg"),
            ("s", "2023/logged_information/d.jpg"),
            ("s", "messages/inbox/friend/media/posts/e.jpg"),
            ("s", "2023/f.jpg"),
            ("t", "your_instagram_activity/messages/inbox/friend/g.jpg"),
            ("t", "your_instagram_activity/media/posts_1.json"),
            ("t", "your_instagram_activity/content/posts_1.json"),
        ];
        let (post, story) = (Role::Media(PictureKind::Post), Role::Media(PictureKind::Story));
        let index = Role::Index(export_layout::Index::Posts { kind: PictureKind::Post, labelled: false });
        let private = Some(Role::Private);
        assert_eq!(
            roles(&places),
            [Some(post), Some(story), Some(index), private, private, private, None, private, Some(index), Some(index)]
        );
        let roots = Roots::of(places.into_iter());
        assert_eq!(roots.place("t", "your_instagram_activity/content/posts_1.json").unwrap().0, 0);
    }
}
