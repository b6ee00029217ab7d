//! `convert` on files of `torch.save` (`convert.py`): tensor for tensor what the safetensors package writes of them, and
//! nothing that is run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use toxiclip_shared::checkpoint::container;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert").join(name)
}

fn convert(file: &Path, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.arg("convert").arg(file).arg("--out").arg(out).output().unwrap()
}

#[test]
fn tensors_are_those_that_the_safetensors_package_writes() {
    let place = tempfile::tempdir().unwrap();
    for (name, told, left_out) in [
        ("state", "7 tensors, 43 numbers", ""),
        ("training", "7 tensors of `state_dict`, 43 numbers", ""),
        ("views", "7 tensors", "mask (Bool)"),
    ] {
        let out = place.path().join(name);
        let done = convert(&fixture(&format!("{name}.pt")), &out);
        let (said, warned) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && said.contains(told), "{name}: {said}{warned}");
        assert!(warned.contains(left_out) && warned.is_empty() == left_out.is_empty(), "{warned}");
        let (ours, theirs) = (fs::read(&out), fs::read(fixture(&format!("{name}.safetensors"))));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let (ours, theirs) = (container::parse(&ours).unwrap(), container::parse(&theirs).unwrap());
        assert!(!ours.tensors.is_empty());
        assert_eq!(ours.tensors, theirs.tensors, "{name}");
        assert_eq!(ours.metadata, theirs.metadata, "transformers asks for the format");
    }
}

#[test]
fn what_is_no_checkpoint_of_tensors_is_one_line() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out.safetensors");
    for (name, part) in [
        ("exec.pt", "GLOBAL (0x63) names `__builtin__ exec`"),
        ("getattr.pt", "GLOBAL (0x63) names `__builtin__ getattr`"),
        ("old.pt", "PyTorch's form before 1.6"),
        ("program.pt", "holds a program (TorchScript)"),
        ("nothing.pt", "holds no dictionary of tensors"),
        ("cut.pt", "is no checkpoint of PyTorch"),
        ("short.pt", "visual.conv1.weight: its storage has 92 bytes instead of 96"),
        ("absent.pt", "data/0"),
        ("packed.pt", "is compressed"),
        ("big-endian.pt", "big-endian"),
        ("huge.pt", "weight: its storage has 308 bytes instead of 1073741824"),
        ("repeated.pt", "weight: its view has more numbers than its storage"),
        ("nowhere.pt", "nowhere.pt: "),
        ("state.safetensors", "is no checkpoint of PyTorch"),
    ] {
        let done = convert(&fixture(name), &out);
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), text.lines().count()), (Some(2), 1), "{name}: {text}");
        assert!(text.contains(part) && text.contains(name), "{name}: {text}");
        assert!(!out.exists(), "{name} wrote something");
    }
}

/// Every prefix of a file and every single wrong byte of its pickle is an error or harmless, never a panic.
#[test]
fn damage_anywhere_is_no_panic() {
    let place = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("views.pt")).unwrap();
    let file = place.path().join("damaged.pt");
    let mut refused = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        for bytes in [&bytes[..], &whole[..at]] {
            fs::write(&file, bytes).unwrap();
            if let Err(error) = toxiclip::pytorch::read(&file) {
                assert!(error.to_string().contains("damaged.pt"), "{error}");
                refused += 1;
            }
        }
    }
    // Every cut file, and most of the others: some bytes are padding or numbers.
    let copies = whole.len().div_ceil(7);
    assert!(refused > copies + copies / 4, "{refused} of {}", 2 * copies);
}
