// SPDX-License-Identifier: Apache-2.0
// Scenarios by name, the output protocol of ../run, the address, expectations.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Threading;

static class Harness
{
    public const int DeadlineMs = 30000;
    public static readonly string Host = Environment.GetEnvironmentVariable("AMQP_HOST");
    public static readonly int Port = int.Parse(Environment.GetEnvironmentVariable("AMQP_PORT"));
    public static readonly int ProxyPort = int.Parse(Environment.GetEnvironmentVariable("PROXY_PORT"));
    static readonly string prefix = Environment.GetEnvironmentVariable("AMQP_PREFIX");

    public static readonly Dictionary<string, Action> Scenarios = new Dictionary<string, Action>();
    public static readonly Dictionary<string, string> Unavailable = new Dictionary<string, string>();

    public static string Named(string name)
    {
        return prefix + name;
    }

    public static void Expect(object actual, object expected, string what)
    {
        if (!Equals(actual, expected))
            throw new Exception(string.Format("{0}: expected {1}, got {2}", what, expected, actual));
    }

    /// Wait until the condition holds.
    public static void Eventually(string what, Func<bool> condition)
    {
        for (DateTime end = DateTime.Now.AddMilliseconds(DeadlineMs); !condition(); Thread.Sleep(10))
        {
            if (DateTime.Now > end)
                throw new Exception("waited in vain for " + what);
        }
    }

    /// Cut everything that goes through ProxyPort; done on return.
    public static void CutConnections()
    {
        using (var client = new TcpClient("127.0.0.1", int.Parse(Environment.GetEnvironmentVariable("CUT_PORT"))))
            new StreamReader(client.GetStream()).ReadToEnd();
    }

    public static int Run(string[] names)
    {
        int failed = 0;
        foreach (string name in names)
        {
            string reason;
            if (Unavailable.TryGetValue(name, out reason))
            {
                Console.WriteLine("skip {0}: {1}", name, reason);
                continue;
            }
            try
            {
                Scenarios[name]();
                Console.WriteLine("ok {0}", name);
            }
            catch (Exception error)
            {
                failed = 1;
                Console.Error.WriteLine(error);
                Console.WriteLine("not ok {0}: {1}", name, error.Message.Replace("\n", " "));
            }
        }
        return failed;
    }
}
