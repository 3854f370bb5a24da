-- pgbench's select-only for sysbench: one account's balance by primary key, prepared.

function thread_init()
   connection = sysbench.sql.driver():connect()
   statement = connection:prepare("SELECT abalance FROM pgbench_accounts WHERE aid = ?")
   account = statement:bind_create(sysbench.sql.type.INT)
   statement:bind_param(account)
end

function event()
   account:set(sysbench.rand.uniform(1, 100000))
   statement:execute()
end

function thread_done()
   statement:close()
   connection:disconnect()
end
