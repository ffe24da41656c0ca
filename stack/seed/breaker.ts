// Circuit breaker for service-to-service communication
interface CircuitBreakerConfig {
  failureThreshold: number;
  recoveryTimeoutMs: number;
  monitoringWindowMs: number;
  volumeThreshold: number;
  errorThresholdPercentage: number;
}

class ServiceCircuitBreaker {
  private state: CircuitState = CircuitState.CLOSED;
  private failureCount: number = 0;
  private successCount: number = 0;
  private lastFailureTime: number = 0;
  private nextAttemptTime: number = 0;

  constructor(
    private serviceName: string,
    private config: CircuitBreakerConfig,
    private metricsCollector: MetricsCollector
  ) {}

  async execute<T>(operation: () => Promise<T>): Promise<T> {
    if (this.state === CircuitState.OPEN) {
      if (Date.now() < this.nextAttemptTime) {
        throw new CircuitOpenError(`Circuit breaker is open for ${this.serviceName}`);
      }
      this.state = CircuitState.HALF_OPEN;
    }

    try {
      const result = await operation();
      this.onSuccess();
      return result;
    } catch (error) {
      this.onFailure(error);
      throw error;
    }
  }

  private onSuccess(): void {
    this.failureCount = 0;
    this.successCount++;

    if (this.state === CircuitState.HALF_OPEN) {
      this.state = CircuitState.CLOSED;
      this.metricsCollector.recordCircuitBreakerStateChange(
        this.serviceName,
        CircuitState.CLOSED
      );
    }
  }

  private onFailure(error: Error): void {
    this.failureCount++;
    this.lastFailureTime = Date.now();

    if (this.shouldOpenCircuit()) {
      this.state = CircuitState.OPEN;
      this.nextAttemptTime = Date.now() + this.config.recoveryTimeoutMs;

      this.metricsCollector.recordCircuitBreakerStateChange(
        this.serviceName,
        CircuitState.OPEN
      );
    }
  }

  private shouldOpenCircuit(): boolean {
    return this.failureCount >= this.config.failureThreshold;
  }
}

// Service mesh integration with circuit breaker
class ServiceMeshClient {
  private circuitBreakers: Map<string, ServiceCircuitBreaker> = new Map();
  private httpClient: HttpClient;

  async callService<T>(
    serviceName: string,
    endpoint: string,
    request: any
  ): Promise<T> {
    const circuitBreaker = this.getOrCreateCircuitBreaker(serviceName);

    return circuitBreaker.execute(async () => {
      const response = await this.httpClient.post(
        `http://${serviceName}${endpoint}`,
        request,
        {
          timeout: 30000,
          retries: 3,
          headers: {
            'Content-Type': 'application/json',
            'X-Service-Name': 'claude-orchestrator',
            'X-Request-ID': this.generateRequestId()
          }
        }
      );

      return response.data;
    });
  }

  private getOrCreateCircuitBreaker(serviceName: string): ServiceCircuitBreaker {
    if (!this.circuitBreakers.has(serviceName)) {
      const config = this.getCircuitBreakerConfig(serviceName);
      const circuitBreaker = new ServiceCircuitBreaker(
        serviceName,
        config,
        this.metricsCollector
      );
      this.circuitBreakers.set(serviceName, circuitBreaker);
    }

    return this.circuitBreakers.get(serviceName)!;
  }
}
