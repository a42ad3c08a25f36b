//! Reads matrices in NumPy's format (.npy): a header of text, and then the numbers in row-major order.

use anyhow::{Context, Result, bail, ensure};

/// The number of rows, the number of columns, and the numbers of a matrix of floats or integers.
///
/// # Errors
/// When it is another format, a column-major matrix, an unsupported type, or shorter than the header says.
pub(super) fn read(bytes: &[u8]) -> Result<(usize, usize, Vec<f32>)> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").context("not a NumPy file (.npy)")?;
    // Version 1 has a header length of two bytes, versions 2 and 3 of four.
    let (length, header_start) = match rest {
        [1, _, a, b, ..] => (u32::from(u16::from_le_bytes([*a, *b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), 6),
        _ => bail!("an unknown version of NumPy's format"),
    };
    let header = rest.get(header_start..header_start + length as usize).context("it is cut off")?;
    let data = &rest[header_start + length as usize..];
    let header = std::str::from_utf8(header)?;
    ensure!(
        field(header, "fortran_order") == Some("False"),
        "the matrix is column-major; save it with np.ascontiguousarray"
    );
    let kind = field(header, "descr").context("its header has no type")?.trim_matches(['\'', '"']);
    let shape = header.split_once('(').and_then(|(_, rest)| rest.split_once(')')).context("its header has no shape")?.0;
    let dimensions: Vec<usize> = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    let &[rows, columns] = dimensions.as_slice() else {
        bail!("it has {} dimensions; a matrix with 2 is needed", dimensions.len())
    };
    let count = rows.checked_mul(columns).context("it is too large")?;
    let values = match kind {
        "<f4" => numbers(data, count, |b: [u8; 4]| f32::from_le_bytes(b)),
        "<f8" => numbers(data, count, |b: [u8; 8]| f64::from_le_bytes(b) as f32),
        "<i4" => numbers(data, count, |b: [u8; 4]| i32::from_le_bytes(b) as f32),
        "<i8" => numbers(data, count, |b: [u8; 8]| i64::from_le_bytes(b) as f32),
        "|u1" => numbers(data, count, |[b]: [u8; 1]| f32::from(b)),
        other => {
            bail!("unsupported numbers of type {other}; save them as float32: np.save(file, vectors.astype(\"<f4\"))")
        }
    };
    Ok((rows, columns, values.context("it is cut off")?))
}

/// The value of a key in the header, which is a Python dictionary.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{name}':"))?;
    rest.split(',').next().map(str::trim)
}

fn numbers<const N: usize>(data: &[u8], count: usize, number: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
    let data = data.get(..count.checked_mul(N)?)?;
    Some(data.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn matrices_of_several_types_are_read_and_others_named() {
        let header = |kind: &str| format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2, 1), }}\n");
        let floats: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(&npy(&header("<f4"), &floats)).unwrap(), (2, 1, vec![1.5, -2.0]));
        let doubles: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(&npy(&header("<f8"), &doubles)).unwrap().2, [1.5, -2.0]);
        assert_eq!(read(&npy(&header("|u1"), &[3, 4])).unwrap().2, [3.0, 4.0]);
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(error(&npy(&header("<f4"), &floats[..7])).contains("cut off"));
        assert!(error(&npy(&header(">f4"), &floats)).contains("type >f4"));
        assert!(error(&npy(&header("<f4").replace("False", "True"), &floats)).contains("ascontiguousarray"));
        assert!(error(&npy(&header("<f4").replace("(2, 1)", "(2,)"), &floats)).contains("1 dimensions"));
        assert!(error(b"PK").contains(".npy"));
        let huge = npy(&header("<f4").replace("(2, 1)", "(99999999999, 99999999999)"), &floats);
        assert!(error(&huge).contains("too large") || error(&huge).contains("cut off"));
    }
}
