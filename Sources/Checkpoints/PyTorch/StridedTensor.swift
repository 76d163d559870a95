// Places a pickled tensor in its archive: checks that its view lies inside its storage and copies it when
// its strides are not those of a contiguous tensor.

import TensorCore

/// A tensor of a pickle on its way to bytes.
struct StridedTensor {
    let name: String
    let reference: TensorReference
    let folder: String

    /// A view may repeat elements (stride 0); this bounds what that can unfold to.
    static let maximumUnfolded = 1 << 26

    /// The tensor in the archive's bytes, or a contiguous copy.
    func stored(in archive: ZipArchive) throws -> StoredTensor {
        func malformed(_ reason: String) -> CheckpointError {
            PyTorchArchive.malformed(archive.path, "tensor \(name) \(reason)")
        }
        let storageName = folder + "data/" + reference.storage.key
        guard let entry = archive.entries[storageName] else {
            throw malformed("lies in \(storageName), which is not in the archive")
        }
        let claimed = byteCount(of: [reference.storage.elementCount], reference.storage.type)
        guard let claimed, claimed == entry.range.count else {
            throw malformed(
                "has a storage of \(reference.storage.elementCount) "
                    + "\(reference.storage.type.rawValue), its entry holds \(entry.range.count) bytes"
            )
        }
        let size = reference.type.byteCount
        let available = entry.range.count / size
        guard let count = byteCount(of: reference.shape, reference.type).map({ $0 / size }) else {
            throw malformed("has the absurd shape \(reference.shape)")
        }
        guard let last = lastElement(isEmpty: count == 0), last < available || count == 0,
            reference.offset <= available
        else {
            throw malformed(
                "of shape \(reference.shape), strides \(reference.strides), offset "
                    + "\(reference.offset) reaches outside its storage of \(available)")
        }
        if count == 0 || isContiguous {
            return try StoredTensor(
                name: name, shape: reference.shape, scalarType: reference.type,
                storage: archive.storage,
                byteOffset: entry.range.lowerBound + reference.offset * size)
        }
        guard count <= max(available, Self.maximumUnfolded) else {
            throw malformed("unfolds to \(count) elements from a storage of \(available)")
        }
        let copy = archive.storage.withBytes { gather(from: $0, at: entry.range.lowerBound, count) }
        return try StoredTensor(
            name: name, shape: reference.shape, scalarType: reference.type,
            storage: TensorStorage(copying: copy), byteOffset: 0)
    }

    /// The storage index of the last element, nil when a number is negative or overflows.
    private func lastElement(isEmpty: Bool) -> Int? {
        guard reference.offset >= 0 else { return nil }
        var last = reference.offset
        for (extent, stride) in zip(reference.shape, reference.strides) {
            guard stride >= 0 else { return nil }
            guard !isEmpty else { continue }
            let (reach, tooFar) = (extent - 1).multipliedReportingOverflow(by: stride)
            let (sum, overflow) = last.addingReportingOverflow(reach)
            guard !tooFar, !overflow else { return nil }
            last = sum
        }
        return last
    }

    private var isContiguous: Bool {
        var expected = 1
        for (extent, stride) in zip(reference.shape, reference.strides).reversed() {
            if extent != 1, stride != expected { return false }
            expected *= extent
        }
        return true
    }

    /// Copies the view's elements in row-major order; every index is inside, `stored` has seen to it.
    private func gather(from bytes: UnsafeRawBufferPointer, at start: Int, _ count: Int) -> [UInt8]
    {
        let size = reference.type.byteCount
        var index = [Int](repeating: 0, count: reference.shape.count)
        var place = reference.offset
        var result: [UInt8] = []
        result.reserveCapacity(count * size)
        for _ in 0..<count {
            let element = start + place * size
            result.append(contentsOf: bytes[element..<(element + size)])
            for axis in index.indices.reversed() {
                index[axis] += 1
                place += reference.strides[axis]
                if index[axis] < reference.shape[axis] { break }
                place -= index[axis] * reference.strides[axis]
                index[axis] = 0
            }
        }
        return result
    }
}
