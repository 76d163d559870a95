// Places at the models: order, refusal, cancellation.

import Testing

import StepAudioServer

struct AdmissionTests {
    private func admission(_ change: (inout ServerLimits) -> Void) -> Admission {
        var limits = ServerLimits()
        change(&limits)
        return Admission(limits: limits)
    }

    @Test func oneMoreThanTheQueueIsRefused() async throws {
        let admission = admission { ($0.parallel, $0.queue) = (1, 1) }
        let first = try await admission.enter(client: "a")
        let second = Task { try await admission.enter(client: "a") }
        while admission.load.waiting == 0 { await Task.yield() }
        await #expect(throws: APIError.self) { try await admission.enter(client: "a") }
        first.leave()
        first.leave()  // Giving a place back twice gives one place.
        let ticket = try await second.value
        #expect(admission.load == (running: 1, waiting: 0))
        ticket.leave()
        #expect(admission.load == (running: 0, waiting: 0))
    }

    @Test func aCancelledRequestLeavesTheQueue() async throws {
        let admission = admission { ($0.parallel, $0.queue) = (1, 4) }
        let first = try await admission.enter(client: "a")
        let second = Task { try await admission.enter(client: "a") }
        while admission.load.waiting == 0 { await Task.yield() }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(admission.load.waiting == 0)
        first.leave()
        #expect(admission.load.running == 0)
    }

    @Test func oneClientCannotTakeAll() async throws {
        let admission = admission { $0.perClient = 1 }
        let mine = try await admission.enter(client: "a")
        await #expect(throws: APIError.self) { try await admission.enter(client: "a") }
        let other = try await admission.enter(client: "b")
        mine.leave()
        try await admission.enter(client: "a").leave()
        other.leave()
    }

    @Test func aForgottenTicketGivesItsPlaceBack() async throws {
        let admission = admission { $0.parallel = 1 }
        _ = try await admission.enter(client: "a")
        #expect(admission.load.running == 0)
    }

    @Test func nobodyEntersAfterTheEnd() async throws {
        let admission = admission { $0.parallel = 1 }
        admission.close()
        await #expect(throws: APIError.self) { try await admission.enter(client: "a") }
    }
}
