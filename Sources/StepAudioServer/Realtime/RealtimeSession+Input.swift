// What a realtime client's microphone sends: heard for speech, recorded while somebody speaks, made a
// turn when they stop. Speech breaks off an answer.

import Foundation
import StepAudio

extension RealtimeSession {
    /// Takes samples.
    func append(_ event: ClientEvent) async throws {
        let samples = try Self.samples(event.audio, param: "audio")
        input.append(samples)
        let happenings = detector.append(samples)
        guard settings.detection != nil else { return try await held(happenings) }
        for happening in happenings {
            switch happening {
            case .started(let start): try await speechStarted(at: start)
            case .stopped(let end): try await speechStopped(at: end)
            }
        }
        if detector.isSpeaking {
            try feed(upTo: detector.lastSound)
            if tooLong { try await speechStopped(at: detector.position) }
        } else {
            // Only what a later speech may take along stays.
            let padding = detector.settings.prefixPaddingMilliseconds + 200
            input.drop(upTo: detector.position - padding * InputAudioBuffer.sampleRate / 1000)
        }
    }

    /// The client says when a turn is over: silence in front of its speech and behind it stays out, as it does when the
    /// server listens for turns; sound in which no speech is found stays whole.
    private func held(_ happenings: [VoiceActivityDetector.Event]) async throws {
        for case .started(let start) in happenings where input.recording == nil {
            try await startRecording(at: start)
        }
        if input.recording != nil { try feed(upTo: detector.lastSound) }
        if tooLong {
            input.clear()
            throw APIError.invalid(
                "the recording is longer than \(Int(backend.limits.audioSeconds)) s and was dropped",
                param: "audio", code: "audio_too_long")
        }
    }

    private var tooLong: Bool {
        let seconds = Double(input.unsent) / Double(InputAudioBuffer.sampleRate)
        return seconds > backend.limits.audioSeconds
    }

    private func startRecording(at position: Int) async throws {
        try backend.readiness.check()
        let recording = try await backend.system.liveRecording()
        let feed = RecordingFeed(recording, sampleRate: InputAudioBuffer.sampleRate)
        input.begin(feed, at: position)
    }

    private func feed(upTo position: Int) throws {
        guard let recording = input.recording else { return }
        let samples = input.take(upTo: position)
        guard !samples.isEmpty else { return }
        recording.append(samples)
    }

    private func speechStarted(at start: Int) async throws {
        try await startRecording(at: start)
        let id = input.itemID
        send(
            ServerEvent("input_audio_buffer.speech_started") {
                $0.audioStartMs = start * 1000 / InputAudioBuffer.sampleRate
                $0.itemId = id
            })
        if settings.interruptsResponse { bargeIn() }
    }

    private func speechStopped(at end: Int) async throws {
        try feed(upTo: end)
        let id = input.itemID
        detector.reset()
        send(
            ServerEvent("input_audio_buffer.speech_stopped") {
                $0.audioEndMs = end * 1000 / InputAudioBuffer.sampleRate
                $0.itemId = id
            })
        commitRecording()
        if settings.createsResponse { try await createResponse(nil) }
    }

    /// A client's word that the turn is over.
    func commit() async throws {
        if input.recording == nil, settings.detection == nil {
            try await startRecording(at: 0)
            try feed(upTo: input.end)
        } else {
            try feed(upTo: detector.lastSound)
        }
        let milliseconds = input.recorded * 1000 / InputAudioBuffer.sampleRate
        guard milliseconds >= 200 else {
            throw APIError.invalid(
                "the buffer holds \(milliseconds) ms of speech; at least 200 are needed",
                code: "input_audio_buffer_commit_empty")
        }
        detector.reset()
        input.drop(upTo: input.end)
        commitRecording()
    }

    private func commitRecording() {
        guard let (recording, id) = input.close() else { return }
        let previous = items.last?.id
        send(
            ServerEvent("input_audio_buffer.committed") {
                $0.previousItemId = PreviousItem(id: previous)
                $0.itemId = id
            })
        let tokens = Task { [backend] in
            let encoded = try await recording.finish().value
            backend.metrics.add("stepaudio_recording_seconds_total", encoded.seconds)
            backend.metrics.add(
                "stepaudio_tokens_total", Double(encoded.ids.count), [("kind", "recording")])
            guard !encoded.ids.isEmpty else {
                throw APIError.invalid("the recording is too short", code: "audio_too_short")
            }
            return encoded
        }
        add(ConversationItem(id: id, role: "user", content: .recording(tokens)))
    }

    /// The user speaks while an answer is made or still plays: the answer ends where it was heard.
    private func bargeIn() {
        if let response {
            backend.metrics.add("stepaudio_realtime_barge_ins_total")
            let played = queue.playback(of: response.id)?.played ?? 0
            cancelResponse(reason: "turn_detected", heardMilliseconds: played)
        } else if let last = lastSpoken, let playback = queue.playback(of: last.response),
            Double(playback.played) < playback.milliseconds - 50,
            let index = items.firstIndex(where: { $0.id == last.item })
        {
            backend.metrics.add("stepaudio_realtime_barge_ins_total")
            cut(itemAt: index, toMilliseconds: playback.played)
        }
        lastSpoken = nil
    }
}
